"""Recordings -> clips in Parquet shards -> sessions. Imports nothing of ours."""

__earshot__ = True  # tells this package from the library of the same name by Hugging Face
