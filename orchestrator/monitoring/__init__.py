"""Listeners that follow a running sweep: progress, events, TensorBoard, MLflow, W&B, live report, store eviction."""
