"""One chain of each method, our way and the plain way: seconds per session, private memory, predictions.

    python -m benchmarks.chain --out FOLDER --method all --epochs 5

makes a benchmark of tones (`benchmarks.clips`, in FOLDER), runs every chain in a process of its own from an empty
store, one after another, and prints a table; `chain.json` in FOLDER has all numbers. What the plain way is stands in
`benchmarks.plain`. Imports, opening the benchmark and loading the backbone are not in the seconds of a session;
spectrograms and predictions are. Writing stages, which the plain way does not need, is measured apart ("stages s").

Private memory is `RssAnon` of Linux, looked at every 10 ms: what a process has for itself alone. Pages of files that it
has mapped, stored token maps among them, are not in it; the system takes those back when it needs them.

On a GPU: `benchmarks.gpu`.
"""

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from rich.console import Console
from rich.table import Table
from transformers import ASTConfig, ASTModel

from benchmarks.clips import write_clips
from benchmarks.plain import COST, ERROR, WAYS, Measured, run_in_process
from datasets.benchmark.manifest import SplitCounts
from datasets.benchmark.protocol import Protocol
from datasets.utils.cli import as_program
from trainables.chain_config import ChainConfig
from trainables.learners.learner import Learner
from trainables.methods.registry import find_method, methods

INTERVAL = 0.01  # seconds between two looks at a chain's memory
PATCHES = "patches"  # a backbone: AST-base without its blocks, for token maps of full size at little arithmetic

# every chain is a separate process, forked from one that has only imported modules, so that imports are not repeated
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["benchmarks.plain"])


class ChainError(Exception):
    """A chain failed; the message is what it said."""


@dataclass(frozen=True)
class Run:
    """One chain, measured.

    Attributes:
        measured: what its process returned.
        private_bytes: peak of its private memory.
        stored_bytes: size of the arrays that it stored.
        folder: where its predictions are.
    """

    measured: Measured
    private_bytes: int
    stored_bytes: int
    folder: Path

    @property
    def seconds(self) -> float:
        """Of all sessions."""
        return sum(self.measured.seconds)

    @property
    def above_model(self) -> int:
        """Bytes of private memory at its peak, without the weights of the backbone."""
        return self.private_bytes - self.measured.weights


@dataclass(frozen=True)
class Compared:
    """The chains of one method.

    Attributes:
        method: its name.
        runs: by way.
        equal: predictions that are the same in both ways.
        predictions: of one way, over sessions, clips and heads.
        flops: of our chain; 0 where they were not counted.
    """

    method: str
    runs: dict[str, Run]
    equal: int
    predictions: int
    flops: int


def settings_for(method: type[Learner], epochs: int | None) -> dict[str, int]:
    """Every number of epochs that the method has, set to `epochs`; nothing for None: its published defaults."""
    names = [name for name in method.Settings.model_fields if name.endswith("epochs")]
    return dict.fromkeys(names, epochs) if epochs is not None else {}


def run_chain(way: str, config: ChainConfig, folder: Path, *, count: bool = False) -> Run:
    """Runs a chain in a process of its own and watches its memory.

    Raises:
        ChainError: it fails.
    """
    folder.mkdir(parents=True)
    private = 0
    process = _SERVER.Process(target=run_in_process, args=(way, config, folder, count))
    process.start()
    assert process.pid is not None
    while process.is_alive():
        private = max(private, private_memory(process.pid))
        process.join(INTERVAL)
    error = folder / ERROR
    if process.exitcode or error.exists():
        raise ChainError(error.read_text() if error.exists() else f"the process ended with status {process.exitcode}")
    measured = Measured(**json.loads((folder / COST).read_text()))
    stored = sum(path.stat().st_size for path in Path(config.store).rglob("*.npy"))
    return Run(measured, private, stored, folder)


def private_memory(pid: int) -> int:
    """Bytes of memory that a process has for itself alone; 0 when it has ended."""
    try:
        status = (Path("/proc") / str(pid) / "status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))


def agreement(first: Path, second: Path, sessions: int) -> tuple[int, int]:
    """How many predictions of two chains are the same, and of how many: clip by clip, head by head, every session."""
    equal = total = 0
    for session in range(sessions):
        name = f"session-{session:02d}.parquet"
        rows = [pq.read_table(folder / name).to_pylist() for folder in (first, second)]
        keys = ("split", "clip_id", "head")
        by_clip = [{tuple(row[key] for key in keys): row["prediction"] for row in table} for table in rows]
        assert by_clip[0].keys() == by_clip[1].keys(), f"{name}: not the same clips and heads"
        equal += sum(by_clip[1][key] == prediction for key, prediction in by_clip[0].items())
        total += len(by_clip[0])
    return equal, total


def compare(config: ChainConfig, ways: Sequence[str], work: Path, *, count: bool) -> Compared:
    """Runs the chain in each way, and once more where its arithmetic is to be counted; removes what they stored."""
    runs: dict[str, Run] = {}
    flops = 0
    for way in [*ways, *(["count"] if count else [])]:
        folder = work / f"{config.method}-{way}"
        own = config.model_copy(update={"store": folder / "store"})
        os.sync()
        run = run_chain("ours" if way == "count" else way, own, folder, count=way == "count")
        shutil.rmtree(own.store)
        if way == "count":
            flops = run.measured.flops
        else:
            runs[way] = run
    folders = [run.folder for run in runs.values()]
    equal, total = agreement(folders[0], folders[-1], len(runs[ways[0]].measured.seconds))
    return Compared(config.method, runs, equal, total, flops)


def summary(results: Sequence[Compared], title: str) -> Table:
    """A row a method."""
    heads = (
        "plain s",
        "ours s",
        "ratio",
        "CPU ratio",
        "first s",
        "last s",
        "last ratio",
        "stages s",
        "stored MB",
        "private MiB",
    )
    table = Table("method", *heads, "above model", "same predictions", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for one in results:
        ours, plain = one.runs.get("ours"), one.runs.get("plain")
        cells = dict.fromkeys((*heads, "above model", "same predictions"), "-")
        if plain:
            cells["plain s"] = f"{plain.seconds:.1f}"
        if ours:
            first, *_, last = (*ours.measured.seconds, ours.measured.seconds[-1])
            cells |= {"ours s": f"{ours.seconds:.1f}", "first s": f"{first:.2f}", "last s": f"{last:.2f}"}
            cells["stages s"] = f"{sum(ours.measured.stage_seconds):.1f}"
            cells["stored MB"] = f"{ours.stored_bytes / 1e6:.0f}"
            cells["private MiB"] = f"{ours.private_bytes / 2**20:.0f}"
            cells["above model"] = f"{ours.above_model / 2**20:.0f}"
        if ours and plain:
            cells["ratio"] = f"{plain.seconds / ours.seconds:.2f}"
            cells["CPU ratio"] = f"{sum(plain.measured.cpu_seconds) / sum(ours.measured.cpu_seconds):.2f}"
            cells["last ratio"] = f"{plain.measured.seconds[-1] / ours.measured.seconds[-1]:.2f}"
            cells["same predictions"] = f"{one.equal}/{one.predictions}"
        table.add_row(one.method, *cells.values())
    return table


def session_by_session(one: Compared) -> Table:
    """A row a session: does the cost grow faster than the clips that it scores?"""
    table = Table("session", "clips scored", title=f"{one.method}, session by session")
    for way in one.runs:
        table.add_column(f"{way} s")
        table.add_column(f"{way} CPU s")
    table.add_column("ours, CPU ms per clip scored")
    for column in table.columns:
        column.justify = "right"
    for session, queries in enumerate(next(iter(one.runs.values())).measured.queries):
        cells = [str(session), str(queries)]
        for run in one.runs.values():
            cells += [f"{run.measured.seconds[session]:.2f}", f"{run.measured.cpu_seconds[session]:.2f}"]
        if "ours" in one.runs:
            cells.append(f"{1000 * one.runs['ours'].measured.cpu_seconds[session] / queries:.1f}")
        table.add_row(*cells)
    return table


def write_patches(folder: Path) -> None:
    """A backbone that is nothing but AST-base's patches with positions; the parts that grow on it have a thin MLP."""
    if not folder.exists():
        config = ASTConfig(num_hidden_layers=0, intermediate_size=32)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            ASTModel(config).save_pretrained(folder)


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.chain`."""
    options = _parser().parse_args(arguments)
    console = Console(width=170)
    options.out.mkdir(parents=True, exist_ok=True)
    protocol = Protocol(
        base=options.base or max(options.way, 2),
        way=options.way,
        shot=options.shot,
        sessions=options.sessions,
        validation=1,
    )
    assert protocol.base
    classes = protocol.base + protocol.way * (options.sessions - 1)
    clips = SplitCounts(train=options.shot, val=1, test=options.queries)
    benchmark = options.out / f"tones-{classes}-{'-'.join(map(str, clips.model_dump().values()))}-{options.seconds:g}s"
    backbone = options.backbone
    results: list[Compared] = []
    rejected: dict[str, str] = {}
    names = list(methods()) if "all" in options.method else [find_method(name).name for name in options.method]
    write_clips(benchmark, classes, clips, options.seconds)
    if backbone == PATCHES:
        backbone = str(options.out / PATCHES)
        write_patches(Path(backbone))
    with tempfile.TemporaryDirectory(prefix="work-", dir=options.out) as work:
        for name in names:
            config = ChainConfig(
                benchmark=str(benchmark),
                method=name,
                settings=settings_for(find_method(name), options.epochs) | dict(options.set),
                protocol=protocol,
                backbone=backbone,
                threads=options.threads,
            )
            try:
                results.append(compare(config, options.ways, Path(work), count=options.count))
            except ChainError as error:
                rejected[name] = str(error)
                continue
            if options.each:
                console.print(session_by_session(results[-1]))
            console.print(f"{name}: {', '.join(f'{way} {run.seconds:.1f} s' for way, run in results[-1].runs.items())}")
    epochs = "published epochs" if options.epochs is None else f"{options.epochs} epochs"
    sizes = f"{options.sessions} sessions, base {protocol.base}, way {protocol.way}, shot {protocol.shot}"
    clip = f"{options.queries} queries of {options.seconds:g} s a class"
    title = f"{options.backbone}, {sizes}, {clip}, {epochs}, threads {options.threads}"
    if results:
        console.print(summary(results, title))
    for one in results:
        _print_arithmetic(one, console)
    for name, reason in rejected.items():
        console.print(f"{name}: no result: {reason}")
    _save(options, results, rejected)
    return 1 if rejected else 0


def _print_arithmetic(one: Compared, console: Console) -> None:
    """How much arithmetic our chain was, and how fast it was done."""
    ours = one.runs.get("ours")
    if one.flops and ours is not None:
        done = one.flops / 1e12
        console.print(f"{one.method}: {done:.3f} TFLOP, {done / ours.seconds:.2f} TFLOP/s")


def _save(options: argparse.Namespace, results: Sequence[Compared], rejected: dict[str, str]) -> None:
    chains = [
        {
            "method": one.method,
            "equal": one.equal,
            "predictions": one.predictions,
            "flops": one.flops,
            "ways": {
                way: {
                    **asdict(run.measured),
                    "private_bytes": run.private_bytes,
                    "stored_bytes": run.stored_bytes,
                }
                for way, run in one.runs.items()
            },
        }
        for one in results
    ]
    machine = {
        "device": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    report = {"machine": machine, "options": vars(options), "chains": chains, "no result": rejected}
    (options.out / "chain.json").write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chain", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for the benchmark (not removed) and chain.json")
    add("--method", nargs="+", default=["ede"], help="names, or all (default: ede)")
    add("--backbone", default="random-tiny", help=f"as in a sweep, or {PATCHES}: AST-base without its blocks")
    add("--seconds", type=float, default=2.0, help="of a clip (default: 2)")
    add("--sessions", type=int, default=3, help="with the base one (default: 3)")
    add("--base", type=int, help="classes of the base session (default: way, at least 2)")
    add("--way", type=int, default=5, help="new classes a session (default: 5)")
    add("--shot", type=int, default=5, help="support clips a class (default: 5)")
    add("--queries", type=int, default=20, help="a class (default: 20); with one validation clip")
    add("--epochs", type=int, help="in place of every number of epochs of a method (default: published)")
    add("--set", type=_assignment, nargs="*", default=[], metavar="NAME=VALUE", help="other settings of the methods")
    add("--ways", nargs="+", choices=list(WAYS), default=["plain", "ours"], help="(default: both)")
    add("--each", action="store_true", help="print seconds of each session")
    add("--count", action="store_true", help="run our chain once more and count its arithmetic")
    add("--threads", type=int, default=1, help="of a chain (default: 1)")
    return parser


def _assignment(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, json.loads(value)


if __name__ == "__main__":
    sys.exit(main())
