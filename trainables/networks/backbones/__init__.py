"""Pretrained encoders: one family, one file. `registry` finds the family of a name, `backbone` is the interface."""
