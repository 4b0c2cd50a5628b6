"""Reads recordings and cuts them: decoding, resampling, loudness, truncated files."""
