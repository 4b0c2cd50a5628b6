"""The procedural sound sources that pretraining can learn from."""
