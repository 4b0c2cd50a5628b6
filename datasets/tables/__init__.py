"""Tables that describe recordings: reading any common format, guessing columns, filtering rows."""
