"""croissant.json of a benchmark: its files and columns in the format Croissant 1.0 of MLCommons (JSON-LD).

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec.html. Records are read by `mlcroissant` from the folder
that has the file: `mlcroissant.Dataset("data/mine/croissant.json").records("clips")`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from datasets.benchmark.manifest import SPLITS, Manifest
from datasets.corpora.preset import Preset
from datasets.utils.text import plural
from orchestrator.preparation.dataset_card import SHARDS

CROISSANT = "croissant.json"
_MARK = "earshot-prepare-sha256-"
"""Before the digest of the other content, in the property `identifier`: a file that was edited is not replaced."""
CONFORMS_TO = "http://mlcommons.org/croissant/1.0"

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        name: f"cr:{name}"
        for name in (
            "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet",
            "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet",
            "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField",
            "transform",
        )
    },
}  # fmt: skip
"""The context of the specification, as every Croissant file repeats it."""

_COLUMNS = {
    "clip_id": ("sc:Text", "name of the clip"),
    "split": ("sc:Text", "train, val or test"),
    "label": ("sc:Integer", "number of the class"),
    "class_name": ("sc:Text", "name of the class"),
    "source": ("sc:Text", "recording in which the clip starts"),
    "start": ("sc:Integer", "first sample of the clip"),
    "num_samples": ("sc:Integer", "length of the clip in samples"),
    "sample_rate": ("sc:Integer", "in Hz"),
    "audio": ("sc:AudioObject", "the clip as 16-bit FLAC, one channel"),
}


def croissant(manifest: Manifest, preset: Preset | None) -> str:
    """The text of croissant.json.

    Args:
        manifest: of the benchmark.
        preset: facts of the corpus; None if it is not known.
    """
    clips, seconds = manifest.clips, manifest.num_samples / manifest.sample_rate
    described = (
        f"{plural(clips.total, 'clip')} of {seconds:g} s at {manifest.sample_rate} Hz, one channel, in "
        f"{len(manifest.classes)} classes: {clips.train} train, {clips.val} val, {clips.test} test."
    )
    facts = {} if preset is None else {"license": preset.licence, "citeAs": preset.citation, "url": preset.url}
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": manifest.name,
        "description": described,
        "datePublished": manifest.created,
        "version": f"1.0.0+{manifest.content_digest[:12]}",
        **facts,
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": "shards",
                "description": "Parquet files; each has clips of all splits",
                "encodingFormat": "application/x-parquet",
                "includes": SHARDS,
            }
        ],
        "recordSet": [_splits(manifest), _classes(manifest), _clips()],
    }
    return json.dumps({**content, "identifier": _MARK + _digest(content)}, indent=1) + "\n"


def is_unedited(text: bytes) -> bool:
    """Whether a croissant.json is as `prepare` wrote it."""
    try:
        content = json.loads(text)
        return isinstance(content, dict) and content.pop("identifier", None) == _MARK + _digest(content)
    except (ValueError, RecursionError):
        return False


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _splits(manifest: Manifest) -> dict[str, Any]:
    used = [split for split in SPLITS if getattr(manifest.clips, split)]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [_field("splits/name", "sc:Text", "name of the split")],
        "data": [{"splits/name": split} for split in used],
    }


def _classes(manifest: Manifest) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/label"},
        "field": [
            _field("classes/label", "sc:Integer", "number of the class"),
            _field("classes/name", "sc:Text", "name of the class"),
        ],
        "data": [{"classes/label": entry.label, "classes/name": entry.name} for entry in manifest.classes],
    }


def _clips() -> dict[str, Any]:
    references = {"split": "splits/name", "label": "classes/label"}
    fields = []
    for name, (kind, text) in _COLUMNS.items():
        source: dict[str, Any] = {"fileSet": {"@id": "shards"}, "extract": {"column": name}}
        if name == "audio":
            source["transform"] = {"jsonPath": "bytes"}
        more: dict[str, Any] = {"source": source}
        if name in references:
            more["references"] = {"field": {"@id": references[name]}}
        fields.append(_field(f"clips/{name}", kind, text, more))
    return {"@type": "cr:RecordSet", "@id": "clips", "key": {"@id": "clips/clip_id"}, "field": fields}


def _field(name: str, kind: str, text: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": name, "dataType": kind, "description": text, **(more or {})}
