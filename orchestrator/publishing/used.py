"""What a run used that has authors: methods, backbones, corpora, Earshot."""

from collections.abc import Iterator, Sequence

from datasets.benchmark.manifest import Manifest
from datasets.utils.errors import EarshotError
from orchestrator.publishing.citations import EARSHOT, Cited, of_backbone, of_corpus, of_method, preset_of
from orchestrator.publishing.portable import portable_name
from orchestrator.results.backbones import NONE
from orchestrator.results.benchmark import find_benchmark
from orchestrator.results.run import Run
from trainables.records import TrialRecord


def used_by(run: Run, corpora: Sequence[str] = (), *, read_benchmark: bool = True) -> list[Cited]:
    """What a run has to cite.

    Args:
        run: the run.
        corpora: names of corpora or presets, in place of what the benchmark says of its own.
        read_benchmark: whether to look for presets and parts of a mix in the benchmark, which may be on a network.
    """
    found = [Cited("Earshot", (EARSHOT,)), *(of_method(portable_name(name)) for name in run.methods)]
    found += dict.fromkeys(
        of_backbone(portable_name(record.backbone), run.backbone_facts.get(run.backbones[name], {}).get("family"))
        for name, record in sorted(run.trials.items())
        if record.backbone != NONE
    )
    by_benchmark = {record.benchmark_fingerprint: record for _, record in sorted(run.trials.items())}
    for record in by_benchmark.values():
        names = dict.fromkeys(corpora or (_corpora(run, record) if read_benchmark else (record.corpus,)))
        found += [of_corpus(record.benchmark, name, given=bool(corpora)) for name in names]
    return found


def _corpora(run: Run, record: TrialRecord) -> Iterator[str | None]:
    """Corpora of the benchmark of a trial: as its manifest says, where that is still there, else as its record does."""
    where = run.sweep.get("where")
    found = find_benchmark(where if isinstance(where, dict) else {}, record)
    if found is None:
        yield record.corpus
    else:
        yield from _prepared_from(Manifest.load(found))


def _prepared_from(manifest: Manifest) -> Iterator[str]:
    """The corpus or preset of a benchmark; of a mix, those of its parts that are still there."""
    parts = manifest.settings.get("of") if manifest.corpus == "mix" else None
    if not isinstance(parts, list):
        yield preset_of(manifest.corpus, manifest.settings)
        return
    for place in map(str, parts):
        try:
            part = Manifest.load(place)
        except EarshotError:
            yield manifest.corpus  # not known
        else:
            yield from _prepared_from(part) if part.corpus != "mix" else iter(("mix",))
