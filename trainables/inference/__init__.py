"""A trained chain in use: exported models and predictions."""
