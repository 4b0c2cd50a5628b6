"""Listeners that follow a sweep while it runs: progress, events, TensorBoard, MLflow, W&B, live report, store eviction."""
