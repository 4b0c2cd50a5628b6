"""A benchmark: manifest, Parquet shards, protocol, audit."""
