"""Recordings: decoding, detection of truncated files, resampling, loudness normalisation and segmentation."""
