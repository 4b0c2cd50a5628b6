"""Pretraining a small Audio Spectrogram Transformer: sound sources made on the spot, networks, objective, score."""
