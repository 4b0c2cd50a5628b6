"""Whether runs can be combined: the same benchmark and protocol, and the same predictions of trials in several runs."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.results.chain_metrics import Scores
from orchestrator.results.loading import SCORED_SPLITS
from trainables.records import TrialRecord


def check_comparable(where: str, records: Sequence[TrialRecord], keys: Sequence[str]) -> None:
    """Raises unless all records agree in `keys`: means over different benchmarks or protocols are meaningless."""
    first = records[0]
    for record in records[1:]:
        for key in keys:
            expected, value = getattr(first, key), getattr(record, key)
            if expected != value:
                if isinstance(expected, dict):
                    field = next(name for name in (*expected, *value) if expected.get(name) != value.get(name))
                    key, expected, value = f"{key}.{field}", expected.get(field), value.get(field)
                raise EarshotError(
                    f"{where}: {key}: expected the same for all trials, found {expected!r} in {first.trial} and"
                    f" {value!r} in {record.trial}; keep each benchmark and protocol in its own run folder"
                )


def ambiguous(protocols: Sequence[Mapping[str, str]], trials: Sequence[Mapping[str, TrialRecord]]) -> set[str]:
    """Names of configurations that several protocols have, as names do not depend on the benchmark.

    Args:
        protocols: of each run: trial -> its protocol hash.
        trials: of each run: name of the trial -> its record.
    """
    hashes: dict[str, set[str]] = {}
    for run, records in zip(protocols, trials, strict=True):
        for name, record in records.items():
            hashes.setdefault(record.configuration, set()).add(run[name])
    return {name for name, known in hashes.items() if len(known) > 1}


def with_protocol_in_name(record: TrialRecord, protocol: str, configurations: Collection[str]) -> TrialRecord:
    """The record with the protocol hash in its names, 'ede-0000000a@1a2b3c4d-s0', if it is of these configurations."""
    if record.configuration not in configurations:
        return record
    configuration = f"{record.configuration}@{protocol}"
    return record.model_copy(update={"configuration": configuration, "trial": f"{configuration}-{record.seeds}"})


def check_same_backbones(where: str, facts: Sequence[Mapping[str, Mapping[str, Any]]]) -> None:
    """Raises if a backbone of the same name has other weights in another run.

    Args:
        where: names the runs.
        facts: of each run: name of a backbone -> what is recorded of it, its digest among others.
    """
    digests: dict[str, Any] = {}
    for of_run in facts:
        for name, backbone in of_run.items():
            if digests.setdefault(name, backbone.get("digest")) != backbone.get("digest"):
                raise EarshotError(
                    f"{where}: backbone {printable(name)}: expected the same weights in all runs, found others; "
                    "report these runs separately"
                )


def check_same_predictions(
    known: TrialRecord, first: Scores, where: Path, again: TrialRecord, second: Scores, there: Path
) -> None:
    """Raises unless a trial that is in two runs has the same predictions, over the sessions that it has in both.

    Args:
        known: its record in one run.
        first: scores of that run.
        where: its folder there.
        again: its record in the other run.
        second: scores of that run.
        there: its folder there.
    """
    shared = min(len(known.sessions), len(again.sessions))
    for head, split in itertools.product(known.heads, SCORED_SPLITS):
        one, two = first.get((known.trial, head, split)), second.get((known.trial, head, split))
        if one and two and not np.array_equal(one.matrix[:shared], two.matrix[:shared], equal_nan=True):
            raise EarshotError(
                f"{there}: expected the same predictions as {where}, which has the same configuration and seeds, found "
                "different ones: the code or the weights differ; report these runs separately"
            )


def shared_entries(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Entries that are equal in all dictionaries, compared recursively."""
    common: dict[str, Any] = {}
    for key, value in values[0].items():
        if isinstance(value, dict):
            others = (other.get(key) for other in values[1:])
            common[key] = shared_entries([value, *(other if isinstance(other, dict) else {} for other in others)])
        elif all(other.get(key) == value for other in values):
            common[key] = value
    return common
