"""Settings of the sweep that the tests of the library share."""

from typing import Any

PROTOCOL = {"base": 2, "way": 2, "shot": 3}
SETTINGS: dict[str, Any] = {"methods": ["slda", "fecam"], "protocol": PROTOCOL, "seeds": 2, "trials": 1}
