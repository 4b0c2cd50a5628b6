"""What follows a sweep while it runs: progress, events, TensorBoard, MLflow, Weights & Biases, the live page."""
