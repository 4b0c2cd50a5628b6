"""Everything that a machine with one GPU can show, in one command, without Ray.

    python -m benchmarks.gpu --out FOLDER

    chain          an `ffcac-25` chain of EDE with the shapes of AST-base and 2,500 queries: seconds, share of the
                   arithmetic limit, peak memory
    batched        eight chains trained as one computation, against one after another (`benchmarks.batched_chains`)
    pretraining    steps per second, with `torch.compile` and without
    filter bank    the front end in one pass, against a loop over clips (`benchmarks.filter_bank`)
    methods        every method on the GPU against the CPU: how many predictions differ, in float32 and in bf16

`gpu.json` and `gpu.md` in FOLDER are written after every measurement, so that an interruption loses only the current
one. A measurement that fails is noted with its reason, the others go on. Without a GPU, or with `--reduced`, everything
runs in a small form on the CPU: that shows that the command works, its numbers mean nothing.

Needs PyTorch, torchaudio, transformers, SciPy, pyarrow, pydantic, PyYAML, soundfile and Rich.
"""

import argparse
import inspect
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks import batched_chains, filter_bank
from benchmarks.chain import agreement, settings_for
from benchmarks.clips import write_clips
from benchmarks.plain import Measured, run
from benchmarks.rows import Row, rows_table
from benchmarks.timing import wall_seconds
from datasets.benchmark.manifest import SplitCounts
from datasets.benchmark.protocol import NAMED, Protocol
from datasets.utils.errors import first_line
from datasets.utils.files import write_atomically
from trainables.chain_config import ChainConfig
from trainables.memory_limit import PeakMemory
from trainables.methods.registry import find_method, method_names
from trainables.pretraining.network import Network
from trainables.pretraining.recipe import SIZES, Recipe
from trainables.pretraining.stream import Synthetic
from trainables.pretraining.training import Point, Training

GOAL = 3.0  # seconds of the chain of EDE
PRECISIONS: tuple[Literal["float32", "bf16"], ...] = ("bf16", "float32")
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
CHAINS = 8


@dataclass(frozen=True)
class Setup:
    """Where measurements run.

    Attributes:
        device: `cuda`, or `cpu` in the reduced form.
        reduced: small sizes.
        work: folder for benchmarks and stores, removed at the end.
        methods: names of the methods that are compared.
    """

    device: torch.device
    reduced: bool
    work: Path
    methods: tuple[str, ...]


def product_peak(device: torch.device, precision: str, size: int) -> float:
    """Floating-point operations a second of a product of two random square matrices, the best of ten."""
    left, right = (torch.randn(size, size, device=device).to(DTYPES[precision]) for _ in range(2))
    seconds = [wall_seconds(lambda: left @ right, device) for _ in range(13)][3:]
    return float(2 * size**3 / min(seconds))


def measure_chain(setup: Setup) -> Iterator[Row]:
    """EDE over `ffcac-25`; the arithmetic is counted in a run of its own."""
    queries, seconds, sessions, backbone = (1, 0.4, 2, "random-tiny") if setup.reduced else (100, 2.0, 5, "random-base")
    protocol = NAMED["ffcac-25"].model_copy(update={"sessions": sessions, "validation": 1})
    benchmark = setup.work / "ffcac-25"
    write_clips(benchmark, 5 * sessions, SplitCounts(train=5, val=1, test=queries), seconds)

    def config(precision: Literal["float32", "bf16"], epochs: int | None) -> ChainConfig:
        return ChainConfig(
            benchmark=benchmark,
            method="ede",
            settings=settings_for(find_method("ede"), 1 if setup.reduced else epochs),
            protocol=protocol,
            backbone=backbone,
            device=setup.device.type,
            precision=precision,
        )

    flops = 0
    for precision in PRECISIONS:
        if not setup.reduced:
            _run(setup, config(precision, 1))  # the first call of a kernel loads it
        measured, folder = _run(setup, config(precision, None))
        stored = sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())
        flops = flops or _run(setup, config(precision, None), count=True)[0].flops
        peak = product_peak(setup.device, precision, 512 if setup.reduced else 8192)
        total = sum(measured.seconds)
        yield {
            "precision": precision,
            "queries": 5 * sessions * queries,
            "sessions, s": total,
            "goal, s": GOAL,
            "base session, s": measured.seconds[0],
            "last session, s": measured.seconds[-1],
            "before the sessions, s": measured.ready,
            "writing stages, s": sum(measured.stage_seconds),
            "stored, MB": stored / 1e6,
            "arithmetic, TFLOP": flops / 1e12,
            "TFLOP/s": flops / 1e12 / total,
            "matrix product, TFLOP/s": peak / 1e12,
            "share of the limit, %": 100 * flops / total / peak,
            "peak memory on the GPU, GiB": measured.device_bytes / 2**30,
        }


def measure_batched(setup: Setup) -> Iterator[Row]:
    """The last session of eight chains that differ in seed and learning rate, together and one after another."""
    backbone, frames, epochs = ("random-tiny", 23, 2) if setup.reduced else ("random-base", 198, None)
    for precision in PRECISIONS:
        peak = PeakMemory(setup.device)
        compared = batched_chains.compare(backbone, frames, CHAINS, epochs, setup.device, precision)
        yield {
            "precision": precision,
            "chains": CHAINS,
            "one after another, s": compared.apart,
            "together, s": compared.together,
            "ratio": compared.apart / compared.together,
            "difference of the weights": compared.difference,
            **_gib(peak),
        }


class TrainingBatches(Synthetic):
    """A stream without held-out clips: only training is measured."""

    def held_out(self) -> tuple[Tensor, Tensor]:
        """None."""
        return torch.empty(0), torch.empty(0)


def measure_pretraining(setup: Setup) -> Iterator[Row]:
    """Steps per second, batches made on the device included; the first half of the steps warms up."""
    steps, sources, clips = (4, 4, 2) if setup.reduced else (60, 64, 4)
    on_gpu = setup.device.type == "cuda"  # `trainables.pretraining.training` compiles there only
    for stance in ("force_eager", "default") if on_gpu else ("force_eager",):
        for size in ("tiny",) if setup.reduced else SIZES:
            recipe = Recipe(config=size, steps=steps, sources=sources, clips=clips)
            stream = TrainingBatches(0, steps, sources, clips, device=setup.device)
            folder = setup.work / f"pretraining-{size}-{stance}"
            folder.mkdir()
            peak = PeakMemory(setup.device)
            points: list[Point] = []
            with torch.compiler.set_stance(stance):
                training = Training(recipe, folder, stream, setup.device, Network(SIZES[size], 0))
                training.run(workers=0, save_every=steps + 1, listener=points.append)
            moments = np.array([point.seconds for point in points])
            yield {
                "network": size,
                "compiled": "yes" if stance == "default" else "no",
                "clips a step": sources * clips,
                "steps/s": 1 / float(np.median(np.diff(moments[steps // 2 - 1 :]))),
                "first step, s": float(moments[0]),
                "loss of the last step": points[-1].loss,
                **_gib(peak),
            }


def measure_filter_bank(setup: Setup) -> Iterator[Row]:
    """The Kaldi filter bank."""
    yield from filter_bank.measure(setup.device, 3, ((0.25, 2),) if setup.reduced else filter_bank.SIZES)


def measure_methods(setup: Setup) -> Iterator[Row]:
    """Every method on the CPU and on the device in both precisions: how many predictions are not those of the CPU.

    Two threads on the CPU round otherwise than one: what they change is the noise of float32.
    """
    queries, seconds, sessions, epochs = (2, 0.4, 2, 1) if setup.reduced else (10, 2.0, 3, 5)
    protocol = Protocol(base=2, way=2, shot=5, sessions=sessions, validation=1)
    benchmark = setup.work / "methods"
    write_clips(benchmark, 2 * sessions, SplitCounts(train=5, val=1, test=queries), seconds)
    device = setup.device.type
    ways: dict[str, dict[str, Any]] = {"cpu": {}}
    if not setup.reduced:
        ways |= {"cpu, 2 threads": {"threads": 2}, device: {"device": device}}
    ways[f"{device}, bf16"] = {"device": device, "precision": "bf16"}
    for name in setup.methods:
        if "text" in find_method(name).uses:
            continue  # an AST has no text tower
        row: dict[str, str | int | float] = {"method": name}
        folders: dict[str, Path] = {}
        try:
            for way, options in ways.items():
                config = ChainConfig(
                    benchmark=benchmark,
                    method=name,
                    settings=settings_for(find_method(name), epochs),
                    protocol=protocol,
                    backbone="random-tiny",
                    **options,
                )
                measured, folders[way] = _run(setup, config)
                row[f"{way}, s"] = sum(measured.seconds)
                if way != "cpu":
                    equal, total = agreement(folders["cpu"], folders[way], sessions)
                    row["predictions"] = total
                    row[f"other on {way}"] = total - equal
        except Exception as error:  # the other methods are still measured
            traceback.print_exc()
            row["failed"] = f"{type(error).__name__}: {first_line(error)}"
        yield row


def _run(setup: Setup, config: ChainConfig, *, count: bool = False) -> tuple[Measured, Path]:
    """A chain in this process from an empty store, in a new folder; the stores of earlier chains are removed."""
    for store in setup.work.glob("chain-*/store"):
        shutil.rmtree(store)
    folder = Path(tempfile.mkdtemp(prefix="chain-", dir=setup.work))
    return run("ours", config.model_copy(update={"store": str(folder / "store")}), folder, count=count), folder


def _gib(peak: PeakMemory) -> dict[str, float]:
    found = peak.bytes()
    return {"peak memory, GiB": found / 2**30} if found is not None else {}


SECTIONS: dict[str, Callable[[Setup], Iterator[Row]]] = {
    "chain": measure_chain,
    "batched": measure_batched,
    "pretraining": measure_pretraining,
    "filter bank": measure_filter_bank,
    "methods": measure_methods,
}


def measure(setup: Setup, sections: Sequence[str], out: Path) -> bool:
    """Measures section by section and writes all rows so far after each row; returns whether nothing failed."""
    report: dict[str, Any] = {"machine": _machine(setup), "sections": {}}
    for name in sections:
        rows: list[Row] = []
        section: dict[str, Any] = {"about": inspect.getdoc(SECTIONS[name]), "rows": rows}
        report["sections"][name] = section
        started = time.perf_counter()
        try:
            for row in SECTIONS[name](setup):
                rows.append(row)
                section["seconds"] = time.perf_counter() - started
                _write(out, report)
                print(f"{name}, {section['seconds']:.0f} s: {json.dumps(row)}", flush=True)
        except Exception as error:  # the other sections are still measured
            traceback.print_exc()
            section["failed"] = f"{type(error).__name__}: {first_line(error)}"
            section["traceback"] = traceback.format_exc()
            _write(out, report)
    return not any("failed" in part for one in report["sections"].values() for part in (one, *one["rows"]))


def _machine(setup: Setup) -> dict[str, Any]:
    machine = {
        "device": platform.processor() or platform.machine(),
        "reduced": setup.reduced,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if setup.device.type == "cuda":
        properties = torch.cuda.get_device_properties(setup.device)
        memory = {"memory, GiB": properties.total_memory / 2**30, "cuda": torch.version.cuda}
        machine |= {"device": properties.name, **memory}
    return machine


def _write(out: Path, report: dict[str, Any]) -> None:
    write_atomically(out / "gpu.json", json.dumps(report, indent=1).encode() + b"\n")
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    lines = [f"# One GPU\n\n{machine}\n"]
    for name, section in report["sections"].items():
        lines.append(f"## {name}\n\n{section['about']}\n")
        if section["rows"]:
            lines.append(rows_table(section["rows"]) + "\n")
        if "failed" in section:
            lines.append(f"Failed: {section['failed']}\n")
    write_atomically(out / "gpu.md", "\n".join(lines).encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.gpu`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json and gpu.md")
    parser.add_argument("--reduced", action="store_true", help="small, on the CPU (default without a GPU)")
    parser.add_argument("--section", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="(default: all)")
    parser.add_argument("--method", nargs="+", choices=method_names(), default=method_names(), help="(default: all)")
    options = parser.parse_args(arguments)
    reduced = options.reduced or not torch.cuda.is_available()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="earshot-gpu-") as work:
        setup = Setup(torch.device("cpu" if reduced else "cuda"), reduced, Path(work), tuple(options.method))
        complete = measure(setup, options.section, options.out)
    print(f"{options.out / 'gpu.md'}: {'complete' if complete else 'some measurements failed, see there'}")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
