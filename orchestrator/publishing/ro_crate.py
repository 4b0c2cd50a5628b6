"""`ro-crate-metadata.json`: the folder of a report as an RO-Crate 1.1, which archives and registries read.

The crate describes the files of the report, the software, and the papers of what was run, in JSON-LD:
https://www.researchobject.org/ro-crate/specification/1.1/
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.publishing.citations import EARSHOT, Cited, citations
from orchestrator.publishing.results_file import RESULTS, TABLE, Results

METADATA = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
SOFTWARE = "#earshot"
LICENCE = (
    "No licence is stated here: that of the results is their author's to choose, that of recordings their corpus'."
)
_DESCRIPTIONS = {
    RESULTS: "All results: settings, seeds, digests, accuracies of every chain, intervals, cost, versions",
    TABLE: "A line a chain: seeds, digests, metrics on validation and test clips, cost",
    "report.html": "Interactive page with all results",
    "report.md": "What ran, how configurations were chosen, tables, figures",
    "methods.csv": "A row per method: accuracy after each session, AA, PD",
}
_FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def ro_crate(results: Results, cited: Iterable[Cited], files: Mapping[str, bytes], date: str) -> bytes:
    """The metadata of a report.

    Args:
        results: the run.
        cited: what the run used.
        files: name -> content of the other files of the folder.
        date: when the results were made, ISO 8601.
    """
    papers = [_paper(key) for key in dict.fromkeys(key for one in cited for key in one.keys) if key != EARSHOT]
    benchmarks = ", ".join(dict.fromkeys(facts.benchmark for facts in results.protocols))
    methods = ", ".join(dict.fromkeys(configuration.method for configuration in results.configurations))
    hashes = ", ".join(facts.hash for facts in results.protocols)
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Earshot results: {results.run}",
        "description": f"Few-shot class-incremental audio classification: {methods} on {benchmarks}, protocol {hashes}",
        "datePublished": date,
        "license": LICENCE,
        "hasPart": [{"@id": name} for name in files],
        "citation": [{"@id": paper["@id"]} for paper in papers],
        "mentions": [{"@id": SOFTWARE}],
    }
    descriptor = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": {"@id": SPECIFICATION},
        "about": {"@id": "./"},
    }
    graph = [descriptor, root, _software(results), *(_file(name, len(content)) for name, content in files.items())]
    content = {"@context": f"{SPECIFICATION}/context", "@graph": [*graph, *papers]}
    return (json.dumps(content, indent=1) + "\n").encode()


def _file(name: str, size: int) -> dict[str, Any]:
    return {
        "@id": name,
        "@type": "File",
        "name": name,
        "contentSize": str(size),
        "encodingFormat": _FORMATS[name[name.rfind(".") :]],
        **({"description": _DESCRIPTIONS[name]} if name in _DESCRIPTIONS else {}),
    }


def _software(results: Results) -> dict[str, Any]:
    version = results.software.earshot
    return {
        "@id": SOFTWARE,
        "@type": "SoftwareApplication",
        "name": citations().entries[EARSHOT].title,
        **({"softwareVersion": version} if version else {}),
    }


def _paper(key: str) -> dict[str, Any]:
    entry = citations().entries[key]
    arxiv = f"https://arxiv.org/abs/{entry.eprint}" if entry.eprint else None
    place = f"https://doi.org/{entry.doi}" if entry.doi else arxiv or entry.url or f"#{key}"
    return {
        "@id": place,
        "@type": "ScholarlyArticle",
        "name": entry.title,
        "author": entry.author,
        "datePublished": str(entry.year),
    }
