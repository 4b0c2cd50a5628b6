"""From a trial of a run to a self-contained model."""
