"""Recordings -> clips in Parquet shards -> sessions. Imports no other package of this project."""

__earshot__ = True  # tells this package from the library of the same name by Hugging Face
