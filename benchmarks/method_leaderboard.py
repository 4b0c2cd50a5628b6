"""The chains of docs/methods.md as a leaderboard: `docs/leaderboard.jsonl`, from `docs/methods/table.json`.

    python -m benchmarks.method_leaderboard --out FOLDER

FOLDER is that of `benchmarks.method_table`; corpora that it lacks are prepared, nothing is run. The scores of chains
come from table.json, everything else from the benchmarks and the methods as they are: fingerprint, protocol hash,
digests of class order and draw, complete settings, backbone. Rows of an earlier version of a method are left out, and
those of the encoder of `resemblyzer_encoder.py` where that is not installed. The demo is left out: its sounds are
computed, and may differ between machines, so that this one's fingerprint need not be that of the measurements.
table.json has no PD and no commit.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.corpora import CORPORA
from benchmarks.method_results import FILE, MethodTable, Result
from benchmarks.table_chains import FIRST, Unit, default_shared, prepare_corpora
from datasets.benchmark.chain_digests import class_order_digest
from datasets.benchmark.manifest import Manifest
from datasets.utils.cli import as_program
from datasets.utils.errors import EarshotError
from orchestrator.publishing.leaderboard import check, contents, parse
from orchestrator.publishing.leaderboard_row import Row, RowChain, with_intervals
from orchestrator.publishing.results_file import ProtocolFacts
from orchestrator.publishing.run_results import backbone_facts
from trainables.methods.registry import find_method
from trainables.session_chain import Chain

LEADERBOARD = FILE.parents[1] / "leaderboard.jsonl"
BY = "The Earshot developers"


def row(result: Result, measured: str, out: Path, before: Chain | None) -> tuple[Row, Chain]:
    """The row of a result, and its last chain, whose clips and backbone the next one may have too.

    Args:
        result: of the current version of its method.
        measured: the date.
        out: folder of the benchmarks.
        before: an earlier chain.

    Raises:
        EarshotError: the benchmark or the backbone cannot be read.
    """
    unit = Unit(out, result.encoder or FIRST, result.corpus, result.method)
    chains = []
    with TemporaryDirectory() as folder:
        for seed, (validation, test, forgetting) in enumerate(
            zip(result.validation, result.test, result.forgetting, strict=True)
        ):
            chain = before = Chain(unit.config(result.settings, seed), Path(folder), before)
            order = [(session.labels, [clips.label for clips in session.leaving]) for session in chain.sessions]
            chains.append(
                RowChain(
                    seeds=chain.record.seeds,
                    class_order=class_order_digest(order),
                    draw=chain.record.draw,
                    validation_aa=_fraction(validation),
                    aa=_fraction(test),
                    forgetting=None if forgetting is None else _fraction(forgetting),
                )
            )
    record = chain.record
    facts = ProtocolFacts(
        hash=chain.protocol_hash,
        benchmark=record.benchmark,
        fingerprint=record.benchmark_digest,
        corpus=record.corpus,
        classes=len(record.class_names),
        base=len(chain.sessions[0].classes),
        sessions=record.planned_sessions,
        rules=record.protocol,
    )
    made = with_intervals(
        facts,
        tuple(chains),
        track=record.track,
        method=record.method,
        version=record.method_version,
        backbone=backbone_facts(record, chain._features.backbone.facts if find_method(record.method).backbone else {}),
        settings=record.settings,
        head=record.default_head,
        by=BY,
        measured=measured,
        candidates=result.configurations,
        seconds=result.seconds,
    )
    return made, chain


def rows(table: MethodTable, out: Path) -> list[Row]:
    """The rows of all results of the current versions, with encoders that are installed."""
    made = []
    last: dict[tuple[str, str], Chain] = {}
    for result in table.results:
        if result.corpus not in CORPORA:
            continue
        if result.version != find_method(result.method).version:
            print(f"left out: version {result.version} of {result.method}", file=sys.stderr)
            continue
        if result.diverged:
            print(f"left out: {result.method} on {result.corpus}: {result.diverged} chains diverged", file=sys.stderr)
            continue
        place = (result.encoder, result.corpus)
        try:
            one, last[place] = row(result, table.measured, out, last.get(place))
        except EarshotError as error:
            if result.encoder in ("", FIRST):
                raise
            print(f"left out: {result.method} with {result.encoder}: {error}", file=sys.stderr)
            continue
        made.append(one)
    return made


def _fraction(percent: float) -> float:
    return round(percent / 100, 4)


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.method_leaderboard`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.method_leaderboard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--shared", type=Path, default=default_shared(), help="folder of the corpora")
    parser.add_argument("--out", type=Path, required=True, help=f"folder of {', '.join(CORPORA)}")
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    prepare_corpora(options.shared, out, list(CORPORA))
    for name in CORPORA:
        if Manifest.load(out / name).content is None:
            raise EarshotError(
                f"{out / name}: an earlier version prepared it, without digests of its clips; use another --out"
            )
    content = contents(rows(MethodTable.load(), out))
    made, problems = parse(content)
    for problem in problems or check(made):
        print(f"line {problem.line}: {problem.reason}", file=sys.stderr)
    LEADERBOARD.write_bytes(content)
    print(f"{len(made)} rows: {LEADERBOARD}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
