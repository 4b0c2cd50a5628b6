"""The interface of a corpus, and one corpus per file."""
