"""Search spaces in YAML: one per method, `demo.yaml` for the default sweep, and the loader that validates them."""
