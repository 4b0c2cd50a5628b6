"""Writes the page: template, data, style, scripts and the plotting library in one file."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from datasets.utils.errors import EarshotError
from datasets.utils.files import write_atomically
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.html.text import spoken
from orchestrator.results.chain_metrics import FORMULAE
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import NOTHING, Estimates

RELOAD = 30  # seconds between two looks of a live page


def write_page(run: Run, path: Path, *, live: bool = False) -> Path:
    """Writes the page of a run.

    Args:
        run: the run.
        path: the file; its folder is made where it is not there.
        live: whether the run goes on: the page says so, and loads itself again now and then.

    Returns:
        `path`.

    Raises:
        EarshotError: the run folder was damaged since it was loaded, or the page cannot be written.
    """
    estimates = Estimates(run)
    data = payload(run, estimates)
    html = _html(data, spoken(run, estimates, data), live)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, html.encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EarshotError(f"{path}: expected a file to write the page to, found: {reason}") from None
    return path


def _html(data: dict[str, Any], words: dict[str, Any], live: bool) -> str:
    script = _asset("page.js")
    return _template().render(
        data=data,
        json=Markup(_inert(data)),
        words=words,
        formulae=FORMULAE,
        live=live,
        reload=RELOAD,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        style=Markup(_asset("page.css")),
        script=Markup(script),
        plotly=Markup(get_plotlyjs()),
        hashes=" ".join(f"'sha256-{digest}'" for digest in (_plotly_digest(), _digest(script))),
    )


def _inert(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element that it lies in, whatever names are in it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _template() -> Any:
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    return environment.get_template("page.html.j2")


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f}"


@cache
def _asset(name: str) -> str:
    return (files("orchestrator.reporting.html") / name).read_text(encoding="utf-8")


@cache
def _plotly_digest() -> str:
    return _digest(get_plotlyjs())


def _digest(script: str) -> str:
    """As a content security policy names an inline script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
