"""The corpus interface, its registry, and one module per corpus."""
