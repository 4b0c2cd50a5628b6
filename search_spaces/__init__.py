"""Search spaces: one YAML per method, and the loader that validates them."""
