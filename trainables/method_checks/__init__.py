"""Tests a method against the rules of its interface, without a benchmark."""
