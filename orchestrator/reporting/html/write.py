"""Writes the page: template, data, style, scripts and the plotting library in one file."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from datasets.utils.files import write_files
from datasets.utils.json_values import json_text
from orchestrator.reporting.facts import choices_of
from orchestrator.reporting.formatting import MISSING, percent
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.html.sections import SECTIONS
from orchestrator.reporting.sentences import answer, notes
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates

RELOAD_SECONDS = 30  # between two reloads of a live page
SCRIPTS = ("state", "text", "theme", "methods", "chart", "session_curves", "heatmap", "spectrogram")
"""Scripts before those of the sections, in their order; they are one script in the page."""


def write_page(run: Run, path: Path, *, live: bool = False, audio: int = 0) -> Path:
    """Writes the page of a run.

    Args:
        run: the run.
        path: the file; its folder is created.
        live: whether the run is still running: the page states it, and reloads itself.
        audio: see `page`.

    Returns:
        `path`.

    Raises:
        EarshotError: the run folder was damaged since it was loaded, or the page cannot be written.
    """
    write_files(path.parent, {path.name: page(run, Estimates(run), live=live, audio=audio).encode()})
    return path


def page(run: Run, estimates: Estimates, *, live: bool = False, audio: int = 0) -> str:
    """The page of a run as HTML.

    Args:
        run: the run.
        estimates: estimates of the run.
        live: see `write_page`.
        audio: bytes that clips of the benchmark may take in the page; 0 for none.

    Raises:
        EarshotError: the run folder was damaged since it was loaded.
    """
    data, choices = payload(run, estimates, audio, live=live), choices_of(run)
    sections = [section.name for section in SECTIONS if section.name in data]
    script = _joined([*(f"scripts/{name}.js" for name in SCRIPTS), *_of_sections(sections, "js"), "scripts/start.js"])
    html: str = _template().render(
        data=data,
        json=Markup(_script_safe_json(data)),
        answer=answer(run, estimates, choices),
        notes=notes(run, estimates, choices),
        sections=sections,
        live=live,
        reload=RELOAD_SECONDS,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        style=Markup(_joined(["page.css", *_of_sections(sections, "css")])),
        script=Markup(script),
        plotly=Markup(get_plotlyjs()),
        hashes=" ".join(f"'sha256-{digest}'" for digest in (_plotly_digest(), _digest(script))),
    )
    return html


def _script_safe_json(data: dict[str, Any]) -> str:
    """JSON that cannot close the script element around it, whatever names it contains."""
    text = json_text(data, separators=(",", ":"))
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
    environment.filters["percent"] = lambda value: MISSING if value is None else percent(value)
    return environment.get_template("page.html.j2")


@cache
def _asset(name: str) -> str:
    return (files("orchestrator.reporting.html") / name).read_text(encoding="utf-8")


def _of_sections(sections: Sequence[str], suffix: str) -> list[str]:
    """Those files that exist of the sections."""
    folder = files("orchestrator.reporting.html") / "sections"
    return [f"sections/{name}.{suffix}" for name in sections if (folder / f"{name}.{suffix}").is_file()]


def _joined(names: Sequence[str]) -> str:
    return "\n".join(map(_asset, names))


@cache
def _plotly_digest() -> str:
    return _digest(get_plotlyjs())


def _digest(script: str) -> str:
    """Digest of an inline script in the form of a content security policy."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
