"""What runs trials and reads what they found; the command lines are `python -m orchestrator.<verb>`."""
