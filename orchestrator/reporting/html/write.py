"""Writes the page: template, data, style, scripts and the plotting library in one file."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from datasets.utils.files import write_files
from datasets.utils.json_values import json_text
from orchestrator.reporting.formatting import MISSING, percent
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.html.sections import SECTIONS
from orchestrator.reporting.html.size_limit import within_limit
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates

RELOAD_SECONDS = 30  # between two reloads of a live page
PLOTLY = "vendor/plotly-cartesian.min.js"
SCRIPTS = (
    "state", "text", "theme", "methods", "chooser", "chart", "chart_tools", "session_curves", "heatmap", "spectrogram",
    "play",
)  # fmt: skip
"""Scripts before those of the sections, in their order; they are one script in the page."""


def write_page(run: Run, path: Path, *, progress: Mapping[str, Any] | None = None, audio: int = 0) -> Path:
    """Writes the page of a run.

    Args:
        run: the run.
        path: the file; its folder is created.
        progress: of a sweep that is running, from `SweepState.describe`: the page shows it, and reloads itself; None
            for a run that is not.
        audio: see `page`.

    Returns:
        `path`.

    Raises:
        EarshotError: the run folder was damaged since it was loaded, or the page cannot be written.
    """
    write_files(path.parent, {path.name: page(run, Estimates(run), progress=progress, audio=audio).encode()})
    return path


def page(run: Run, estimates: Estimates, *, progress: Mapping[str, Any] | None = None, audio: int = 0) -> str:
    """The page of a run as HTML.

    Args:
        run: the run.
        estimates: estimates of the run.
        progress: see `write_page`.
        audio: bytes that clips of the benchmark may take in the page; 0 for none.

    Raises:
        EarshotError: the run folder was damaged since it was loaded.
    """
    data = within_limit(payload(run, estimates, audio, progress))
    sections = [section.name for section in SECTIONS if section.name in data]
    script = _joined([*(f"scripts/{name}.js" for name in SCRIPTS), *_of_sections(sections, "js"), "scripts/start.js"])
    html: str = _template().render(
        data=data,
        json=Markup(_script_safe_json(data)),
        sections=sections,
        live=progress is not None,
        reload=RELOAD_SECONDS,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        style=Markup(_joined(["page.css", *_of_sections(sections, "css")])),
        script=Markup(script),
        plotly=Markup(_asset(PLOTLY)),
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
    environment.filters["on_scale"] = _on_scale
    environment.filters["percent"] = lambda value: MISSING if value is None else percent(value)
    return environment.get_template("page.html.j2")


def _on_scale(value: float, scale: dict[str, float]) -> float:
    """Where a value is between the ends of a scale, in [0, 1]."""
    return round(min(1.0, max(0.0, (value - scale["low"]) / (scale["high"] - scale["low"]))), 4)


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
    return _digest(_asset(PLOTLY))


def _digest(script: str) -> str:
    """Digest of an inline script in the form of a content security policy."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
