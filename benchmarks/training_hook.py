"""What it costs that trainings report their epochs: chains with and without the hook, in the same process, in turns.

    python -m benchmarks.training_hook --out FOLDER

runs chains of EDE with many short epochs (12 clips each), the worst case for a cost per epoch, on the small random
backbone. Every chain has an empty store. The seconds are CPU time of this process, with all threads, so that they
depend little on what else the machine does; of each way the fastest round counts. "without" is the same chain whose
`train` finds no listener, so that no curve is kept, stored or written. The command fails if a prediction differs.

The difference of the two is smaller than the noise of a busy machine. So the second table has what the hook does, each
measured by itself, in CPU time, and its share of the chain "without": an epoch, and a file of curves, of which a chain
writes two for each session, one of them in the store, and one a second.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clips import write_clips
from benchmarks.rows import Row, rows_table
from datasets.benchmark.manifest import SplitCounts
from datasets.benchmark.protocol import Protocol, Session
from datasets.utils.errors import EarshotError, error_line
from datasets.utils.location import Location
from trainables.chain_config import ChainConfig
from trainables.learners.learner import Learner
from trainables.learners.session_generator import session_generator
from trainables.learners.training_listener import Epoch
from trainables.session_chain import Chain
from trainables.training_curves import CurveRecorder, Curves, write_curves

BACKBONE = "random-tiny"
REPEATED, WRITTEN = 10_000, 100  # epochs and files of the second table
PROTOCOL = Protocol(base=2, way=2, shot=6)


class PlainChain(Chain):
    """A chain whose trainings report to nobody."""

    def _run(self, learner: Learner, session: Session) -> Curves:
        learner.learn(session, session_generator(self.config.seeds.initialisation, session.index))
        return ()


WAYS = {"without": PlainChain, "with": Chain}


def run(way: str, benchmark: Path, folder: Path, epochs: int) -> tuple[float, list[str | None]]:
    """Runs a chain from an empty store; its CPU seconds, and the SHA-256 of the predictions of each session."""
    shutil.rmtree(folder, ignore_errors=True)
    settings = {"base_epochs": epochs, "incremental_epochs": epochs}
    fields = {"benchmark": benchmark, "method": "ede", "settings": settings, "protocol": PROTOCOL}
    config = ChainConfig.model_validate({**fields, "backbone": BACKBONE, "store": folder / "store"})
    chain = WAYS[way](config, folder / "trial")
    started = time.process_time()
    records = [chain.step() for _ in chain.sessions]
    return time.process_time() - started, [record.predictions_sha256 for record in records]


def hook_seconds(folder: Path, epochs: int) -> tuple[float, float]:
    """CPU seconds of an epoch that is reported, and of a file of curves that is written.

    Args:
        folder: for the file.
        epochs: of a training.
    """
    recorder = CurveRecorder()
    started = time.process_time()
    for number in range(REPEATED):
        recorder(Epoch("session 1", number % epochs + 1, epochs, 1.0, 0.1))
    reported = time.process_time()
    for _ in range(WRITTEN):
        (Location.of(folder) / "training.json").write(write_curves(0, recorder.curves()[:1]))
    return (reported - started) / REPEATED, (time.process_time() - reported) / WRITTEN


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.training_hook`; exit status 0: measured, 1: a prediction differs, 2: an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=30, help="of every session")
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        benchmark = options.out / "clips"
        write_clips(benchmark, 6, SplitCounts(train=8, val=2, test=4), seconds=0.4)
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        digests = []
        run("with", benchmark, options.out / "with", 1)  # imports and caches of the first chain
        for number in range(options.rounds):
            for way in sorted(WAYS, reverse=bool(number % 2)):
                measured, predictions = run(way, benchmark, options.out / way, options.epochs)
                seconds[way].append(measured)
                digests.append(predictions)
    except (EarshotError, OSError) as error:
        print(error_line(error), file=sys.stderr)
        return 2
    best = {way: min(values) for way, values in seconds.items()}
    print(rows_table([{"chain": way, "CPU s": value, "ratio": value / best["without"]} for way, value in best.items()]))
    epoch, file = hook_seconds(options.out, options.epochs)
    sessions = len(digests[0])
    parts = {
        "epochs": (sessions * options.epochs, epoch),
        "files": (2 * sessions + round(best["without"]), file),
    }
    rows: list[Row] = [
        {"hook": name, "count": count, "us of each": 1e6 * cost, "% of the chain": 100 * count * cost / best["without"]}
        for name, (count, cost) in parts.items()
    ]
    print(rows_table(rows))
    same = all(predictions == digests[0] for predictions in digests)
    print(f"predictions: {'the same bytes' if same else 'different'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
