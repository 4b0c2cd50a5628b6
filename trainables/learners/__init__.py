"""The interface of a method, and what methods share."""
