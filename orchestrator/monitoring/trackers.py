"""MLflow and Weights & Biases, through their own clients: a run per trial, with the session as step.

Ray has callbacks for both. Its MLflow callback sends each number in a request of its own, and all that Tune counts
besides; its W&B callback starts two processes per trial. Neither knows that a trial which begins again after a death
tells its sessions a second time.
"""
