"""The sections of the page, in their order.

A section NAME is one entry of `SECTIONS` and these files:

    section_data.py          or a file of its own: a function from `Results` to the data of the section, in JSON types
    sections/NAME.html.j2    its HTML; its data is `data.NAME`
    sections/NAME.js         optional: draws it from `DATA.NAME`, and calls addSection("NAME", draw)
    sections/NAME.css        optional: its style

A section without data (None) is left out of the page with its files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.reporting.html import confusion, embedding_map, listening, section_data, training
from orchestrator.reporting.html.results import Results


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: of its files, and of its data.
        data: gives its data; None if it would be empty.
    """

    name: str
    data: Callable[[Results], Any]


SECTIONS = (
    Section("answer", section_data.answers),
    Section("progress", lambda results: results.progress),
    Section("leaderboard", section_data.leaderboard),
    Section("curves", section_data.curves),
    Section("sides", section_data.sides),
    Section("forgetting", section_data.forgetting),
    Section("details", section_data.of_one_method),
    Section("matrix", section_data.of_one_method),
    Section("classes", section_data.of_one_method),
    Section("confusion", confusion.confusion),
    Section("listening", listening.listening),
    Section("map", embedding_map.embedding_map),
    Section("seeds", section_data.seeds),
    Section("importance", section_data.importance),
    Section("parallel", section_data.configurations),
    Section("pareto", section_data.pareto),
    Section("cost", section_data.cost),
    Section("training", training.training),
    Section("ran", section_data.ran),
    Section("read", section_data.definitions),
)
