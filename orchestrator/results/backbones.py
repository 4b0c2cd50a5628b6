"""The rows of a run's tables: a method, with its backbone where a run has several, and its protocol likewise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainables.networks.specs import FRONT_ENDS, BackboneSpec, FrontEndSpec, distinguishing_parts
from trainables.records import INDUCTIVE, Track, TrialRecord

NONE = "none"  # in the record of a method that uses no backbone


@dataclass(frozen=True)
class Entry:
    """A row of a comparison: a method, on one of the backbones and of the protocols where a run has several.

    Attributes:
        method: its name.
        backbone: its name with its options; empty where all trials have the same, or the method uses none.
        track: whether the method sees the query clips of a session as one batch (`transductive`).
        protocol: its protocol hash; empty where all trials have the same.
    """

    method: str
    backbone: str
    track: Track = INDUCTIVE
    protocol: str = ""

    @property
    def label(self) -> str:
        """'ede', 'ede+wavlm-base-plus@layer=6', or 'ede+1a2b3c4d' with the protocol hash."""
        return "+".join(filter(None, (self.method, self.backbone, self.protocol)))


def short_backbone(record: TrialRecord, parts: int = 1) -> str:
    """The backbone of a trial with its options, without its folder; empty if the method uses none.

    Args:
        record: of the trial.
        parts: how many of the last parts of its name to keep.
    """
    if record.backbone == NONE:
        return ""
    kind = record.frontend.partition(" ")[0]
    frontend = FrontEndSpec.model_validate({"kind": kind}) if kind in FRONT_ENDS else FrontEndSpec()
    spec = BackboneSpec(record.backbone, frontend, record.layer, record.pool, record.padding, record.trust_remote_code)
    return str(spec.short(parts))


def backbones_of(sweep: Mapping[str, Any], trials: Mapping[str, TrialRecord]) -> dict[str, str]:
    """Trial -> its backbone, as `short_backbone` names it.

    A run of one backbone may have been resumed where its folder lies elsewhere: only the last part counts. The
    backbones of a sweep over several have as many parts as distinguish them.

    Args:
        sweep: contents of sweep.json.
        trials: records by name.
    """
    what = sweep.get("what")
    several = isinstance(what, dict) and isinstance(what.get("backbone"), list)
    names = {record.backbone for record in trials.values()} - {NONE}
    parts = distinguishing_parts(names) if several else 1
    return {name: short_backbone(record, parts) for name, record in trials.items()}


def entries_of(
    backbones: Mapping[str, str], protocols: Mapping[str, str], trials: Mapping[str, TrialRecord]
) -> dict[str, Entry]:
    """Trial -> its entry.

    Args:
        backbones: trial -> its backbone, from `backbones_of`.
        protocols: trial -> its protocol hash.
        trials: records by name.
    """
    several = len({backbone for backbone in backbones.values() if backbone}) > 1
    mixed = len(set(protocols.values())) > 1
    return {
        name: Entry(record.method, backbones[name] if several else "", record.track, protocols[name] if mixed else "")
        for name, record in trials.items()
    }
