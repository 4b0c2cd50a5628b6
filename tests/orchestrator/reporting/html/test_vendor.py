"""The plotting library in the repository is the published one."""

import hashlib
from pathlib import Path

import orchestrator.reporting.html.write as html

VERSION = "4.1.1"
SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"


def test_the_library_is_unchanged_and_named() -> None:
    folder = Path(html.__file__).parent
    content = (folder / html.PLOTLY).read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256
    assert f"plotly.js (cartesian - minified) v{VERSION}".encode() in content[:200]
    assert VERSION in (folder / "vendor" / "README.md").read_text(encoding="utf-8")
    assert "MIT License" in (folder / "vendor" / "plotly-cartesian.LICENSE").read_text(encoding="utf-8")
