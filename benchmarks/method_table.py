"""All methods over ten seeds, each tuned on validation clips: the tables of docs/methods.md and of docs/methods/.

    python -m benchmarks.method_table --out FOLDER --write

prepares ravdess-16k, philharmonia and the demo, and runs every method in chains of 5 new classes x 5 shots a session to
the last class, with earshot-tiny, and the closed-form methods also with the encoder of `resemblyzer_encoder.py` (which
must be installed). Each method first compares the same number of configurations on validation clips
(`benchmarks/candidates.py`): all of them over one seed, the best two over a second one. The winner then runs over seeds
0 to 9, which were not used before; a seed is a class order, a support draw and an initialisation.

Chains that FOLDER has are not run again, so the same command completes what was interrupted. Cheap methods come first.
Without `--write` the tables are printed only; `--read` runs nothing and uses the chains that FOLDER has. `--write`
replaces the results that FOLDER has in `docs/methods/table.json`, and keeps the others: so the table may be measured in
parts, on several machines, which must agree about `mfcc-ncm` and `simplecil`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.candidates import CONFIGURATIONS, EPOCHS
from benchmarks.method_pages import method_tables, write_pages
from benchmarks.method_results import FLOOR, REFERENCE, MethodTable, Result, today
from benchmarks.table_chains import (
    ENCODERS,
    NAMES,
    TUNING_SEEDS,
    Unit,
    default_shared,
    measured_methods,
    prepare_corpora,
    run_all,
    units,
)
from datasets.utils.cli import as_program
from trainables import metrics
from trainables.methods.registry import find_method

DIVERGED = 0.0, 0.0, None  # validation AA, test AA and forgetting of a chain whose training diverged


def result(unit: Unit, seeds: int) -> Result | None:
    """What FOLDER has of a unit: the seeds from 0 to the first one that is missing; None without any.

    A chain whose training diverged counts with an AA of 0 %, as a method that failed.
    """
    settings = unit.chosen()
    if settings is None:
        return None
    chains: list[tuple[float, float, float | None]] = []
    seconds: list[float] = []
    for seed in range(seeds):
        record, score = unit.record(settings, seed), unit.scores(settings, seed)
        if record is None:
            break
        if score is None:
            chains.append(DIVERGED)
            continue
        validation_aa, test_aa = (_percent(metrics.average_accuracy(score[split].micro)) for split in ("val", "test"))
        chains.append((validation_aa, test_aa, _percent(metrics.forgetting(score["test"].matrix))))
        seconds.append(sum(session.seconds for session in record.sessions))
    if not chains:
        return None
    validation, test, forgetting = zip(*chains, strict=True)
    method = find_method(unit.method)
    return Result(
        *unit.place,
        version=method.version,
        settings=settings,
        configurations=len(unit.candidates),
        validation=validation,
        test=test,
        forgetting=forgetting,
        seconds=round(sum(seconds) / max(1, len(seconds)), 1),
    )


def collect(work: list[Unit], seeds: int) -> MethodTable:
    """The results that FOLDER has."""
    found = [result(unit, seeds) for unit in work]
    kept = tuple(row for row in found if row is not None)
    return MethodTable(today(), seeds, CONFIGURATIONS, len(TUNING_SEEDS), kept)


def in_order(table: MethodTable) -> MethodTable:
    """The same results, in the order in which they are measured."""
    places = [unit.place for unit in units(Path(), list(ENCODERS), list(NAMES), list(measured_methods()))]
    return replace(table, results=tuple(sorted(table.results, key=lambda row: places.index(row.place))))


def incomplete(table: MethodTable, work: list[Unit]) -> list[str]:
    """What lacks seeds, a line for each encoder and corpus: 'earshot-tiny demo: ede 3, pass 0 of 10 seeds'."""
    lacking: dict[str, list[str]] = {}
    for unit in work:
        row = table.find(unit.encoder, unit.corpus, unit.method)
        finished = 0 if row is None else len(row.test)
        if finished < table.seeds:
            lacking.setdefault(f"{unit.encoder} {unit.corpus}", []).append(f"{unit.method} {finished}")
    return [f"{place}: {', '.join(methods)} of {table.seeds} seeds" for place, methods in lacking.items()]


def _percent(value: float) -> float:
    return round(100 * value, 2)


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.method_table`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.method_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--shared", type=Path, default=default_shared(), help="folder of the corpora")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--few", type=int, default=3, help="seeds of the first pass over trained methods (default: 3)")
    parser.add_argument(
        "--epochs",
        type=int,
        default=EPOCHS,
        help="most of a stage of training that a search space varies (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--corpus", action="append", choices=list(NAMES), help="may be repeated (default: all)")
    parser.add_argument("--method", action="append", choices=measured_methods(), help="may be repeated (default: all)")
    parser.add_argument("--encoder", action="append", choices=list(ENCODERS), help="may be repeated (default: all)")
    parser.add_argument("--read", action="store_true", help="run nothing, use the chains that FOLDER has")
    parser.add_argument("--write", action="store_true", help="write the tables and the pages of the documentation")
    options = parser.parse_args(arguments)
    out, corpora, methods = options.out.resolve(), options.corpus or list(NAMES), options.method or measured_methods()
    if options.write and options.epochs != EPOCHS:
        parser.error(f"--write: expected --epochs {EPOCHS}, as all results of the table have, found {options.epochs}")
    if options.write:
        methods = dict.fromkeys([FLOOR, REFERENCE, *methods])
    work = units(out, options.encoder or list(ENCODERS), corpora, list(methods), options.epochs)
    if not options.read:
        prepare_corpora(options.shared, out, corpora)
        run_all(work, options.seeds, options.few, options.workers)
    table = collect(work, options.seeds)
    if options.write:
        table = in_order(table.merged(MethodTable.load()))
        table.save()
        write_pages()
    print(method_tables(table))
    if lines := incomplete(table, work):
        print("\n".join(f"incomplete: {line}" for line in lines), file=sys.stderr)
        print(f"python -m benchmarks.method_table --out {options.out} --write    completes them", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
