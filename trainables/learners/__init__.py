"""The interface of a method, and code that several methods share."""
