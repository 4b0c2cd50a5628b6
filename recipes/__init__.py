"""Published settings in YAML, one per file, for `earshot sweep --config` and `--recipe`, and what they are."""
