"""Pretraining a small Audio Spectrogram Transformer: generated and recorded sources, network, objective, score."""
