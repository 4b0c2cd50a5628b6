"""What the probabilities of exported models mean, and what training on all clips gains, on real recordings.

    python -m benchmarks.calibration --out FOLDER

prepares ravdess-16k (24 speakers) and philharmonia (15 instruments), runs one chain of each method with `earshot-tiny`
(5 shots, 5 classes a session), exports it with and without --train-on-all, and scores the test clips, which neither
training nor calibration has seen. The expected calibration error (ECE, 15 bins) is given with a temperature of 1 and
with the one that `export` fitted to the validation clips.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.corpora import CORPORA
from datasets.benchmark.protocol import Protocol
from datasets.benchmark.shards import Shards
from datasets.utils.cli import as_program
from orchestrator.exporting.export import export
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.formatting import percent
from orchestrator.reporting.markdown import table
from orchestrator.results.run_folder import RunFolder
from trainables.chain_config import ChainConfig
from trainables.inference.exported_model import load_model
from trainables.metrics import expected_calibration_error
from trainables.records import SeedTriple
from trainables.session_chain import Chain

METHODS = ("mfcc-ncm", "simplecil", "aper", "mar", "ranpac", "teen")
PROTOCOL = Protocol(base=5, way=5)
EPOCHS = 20


def trial(folder: RunFolder, benchmark: Path, method: str) -> str:
    """Runs a chain as a sweep would; the name of its trial."""
    config = ChainConfig(
        benchmark=str(benchmark),
        method=method,
        settings={"base_epochs": EPOCHS} if method not in ("mfcc-ncm", "simplecil") else {},
        protocol=PROTOCOL,
        seeds=SeedTriple(order=0, support=0, initialisation=0),
        store=folder.store.address,
    )
    with folder.lock({}, {"benchmark": str(benchmark)}):
        chain = Chain(config, folder.trial(config.trial))
        while not chain.done:
            chain.step()
    return config.trial


def rows(folder: RunFolder, name: str, method: str, out: Path, shards: Shards) -> list[list[object]]:
    """A row for the model of the experiment, and one for that trained on all clips."""
    result: list[list[object]] = []
    for all_clips in (False, True):
        description = export(folder, name, out, train_on_all=all_clips, force=True)
        positions = shards.select(splits=["test"])
        scores = load_model(out).score(shards.audio(positions))[description.default_head].double()
        column = {entry.label: index for index, entry in enumerate(description.classes)}
        columns = torch.tensor([column[int(label)] for label in shards.table.labels[positions]])
        temperature = description.temperature(description.default_head)
        assert description.training is not None
        accuracy = float((scores.argmax(dim=1) == columns).double().mean())
        result.append(
            [
                *(method, description.training.clips, percent(accuracy), f"{temperature:.3g}"),
                *_confidence(scores, columns),
                *_confidence(scores / temperature, columns),
            ]
        )
    return result


def _confidence(scores: Tensor, columns: Tensor) -> tuple[str, str]:
    """Mean probability of the most probable class, and ECE, both in percent."""
    confidences, predicted = scores.softmax(dim=1).max(dim=1)
    error = expected_calibration_error(confidences.numpy(), (predicted == columns).numpy())
    return percent(float(confidences.mean())), percent(error)


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.calibration`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA), help="may be repeated (default: both)")
    parser.add_argument("--method", action="append", help="may be repeated (default: six without exemplars)")
    options = parser.parse_args(arguments)
    header = ["method", ">train clips", ">accuracy", ">T", ">confidence, T = 1", ">ECE, T = 1", ">confidence", ">ECE"]
    for name in options.corpus or CORPORA:
        corpus, settings = CORPORA[name]
        benchmark = options.out / name
        prepare(corpus, options.shared / "corpora" / name, benchmark, settings)
        folder, shards = RunFolder((options.out / "calibration" / name).resolve()), Shards(benchmark)
        cells: list[list[object]] = []
        for method in options.method or METHODS:
            model = options.out / "models" / f"{name}-{method}"
            cells += rows(folder, trial(folder, benchmark.resolve(), method), method, model, shards)
        print(f"\n### {name}\n\n{table(header, cells)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
