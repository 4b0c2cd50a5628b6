"""Recordings -> clips in Parquet shards -> sessions. Imports nothing of ours."""
