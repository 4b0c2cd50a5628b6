"""The committed leaderboard has no problem, and the chains of the table of methods."""

from benchmarks.corpora import CORPORA
from benchmarks.method_leaderboard import LEADERBOARD
from benchmarks.method_results import MethodTable
from datasets.utils.location import Location
from orchestrator.publishing.leaderboard import problems_of, read
from trainables.methods.registry import find_method


def test_it_has_the_current_results_of_the_table() -> None:
    place = Location.of(str(LEADERBOARD))
    rows = read(place)
    assert problems_of(place) == (len(rows), [])
    found = {
        (row.benchmark, row.method, row.backbone.id if row.backbone else ""): [
            (chain.validation_aa, chain.aa, chain.forgetting) for chain in row.chains
        ]
        for row in rows
    }
    stale = "run python -m benchmarks.method_leaderboard --out FOLDER"
    expected = {}
    for result in MethodTable.load().results:
        if result.corpus in CORPORA and result.version == find_method(result.method).version and not result.diverged:
            backbone = {"resemblyzer": "resemblyzer_encoder.py:encoder"}.get(result.encoder, result.encoder)
            chains = zip(result.validation, result.test, result.forgetting, strict=True)
            expected[result.corpus, result.method, backbone] = [
                tuple(round((percent or 0) / 100, 4) for percent in chain) for chain in chains
            ]
    assert set(found) == set(expected), stale
    assert found == expected, stale
