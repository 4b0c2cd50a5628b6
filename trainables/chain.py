"""One chain: base session + incremental sessions, in order, on one learner. No Ray in here.

    python -m trainables.chain --config chain.yaml --out FOLDER

runs one chain in this process and leaves the same files as a trial of a sweep.
"""

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import Tensor

from datasets.benchmark.protocol import AnyProtocol, Protocol, Session, make_sessions
from datasets.benchmark.shards import Shards
from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.validation import read_yaml, validated
from trainables.learners.features import Features
from trainables.learners.learner import Learner
from trainables.memory_limit import Peak
from trainables.methods.registry import check_protocol, find_method
from trainables.networks.backbone import load_backbone
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import DEFAULT, FrontEndSpec
from trainables.records import PREDICTIONS, SeedTriple, SessionRecord, TrialRecord
from trainables.store.arrays import ArrayStore
from trainables.store.layout import address_of
from trainables.store.lease import find_or_compute
from trainables.store.stages import SCHEMA_VERSION, Stage, StageStore, parquet_bytes
from trainables.store.state import State


class ChainConfig(BaseModel):
    """Everything that determines a chain, and where to run it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: Annotated[str, BeforeValidator(str)] = Field(description="folder or URI of a prepared benchmark")
    method: str
    settings: dict[str, Any] = Field(default_factory=dict, description="of the method; the rest are its defaults")
    varied: tuple[str, ...] = Field((), description="settings that a search space varies")
    protocol: AnyProtocol = Protocol()
    seeds: SeedTriple = SeedTriple(order=0, support=0, initialisation=0)
    backbone: str = DEFAULT
    frontend: FrontEndSpec = FrontEndSpec()
    device: str = Field("cpu", description="cpu or cuda")
    precision: Literal["float32", "bf16"] = "float32"
    threads: int = Field(1, ge=1, description="threads of a trial; part of what makes its last bits")
    store: Annotated[str, BeforeValidator(str)] = Field(
        "runs/store", description="folder or URI for stages and frozen embeddings, shared by all runs"
    )

    @property
    def configuration(self) -> str:
        """Name of the configuration: the same for all its seeds."""
        what = self.model_dump(mode="json", include={"settings", "protocol", "frontend", "precision"})
        what["backbone"] = Path(self.backbone).name  # the same wherever the folder lies
        return f"{self.method}-{address_of(what)[:8]}"

    @property
    def trial(self) -> str:
        """Name of the trial."""
        return f"{self.configuration}-{self.seeds}"


class Chain:
    """A chain that finds finished sessions in the store and computes the others.

    Args:
        config: what to run.
        folder: where the trial's record and predictions go.
        before: a chain of this process; what both read (clips, backbone, front end) is not opened again.

    Raises:
        EarshotError: the benchmark, the protocol, the backbone or the method's settings do not fit.
    """

    def __init__(self, config: ChainConfig, folder: Path | Location, before: "Chain | None" = None) -> None:
        torch.set_num_threads(config.threads)
        self.config = config
        self.folder = Location.of(folder)
        method = find_method(config.method)
        self._settings = validated(method.Settings, config.settings, f"method {config.method}")
        self._features: Features
        self._shards: Shards
        if before is not None and _reads(before.config) == _reads(config):
            self._features, self._shards = before._features, before._shards
        else:
            self._features, self._shards = open_features(config)
        shards = self._shards
        manifest = shards.manifest
        self.sessions = make_sessions(
            config.protocol,
            shards.table,
            order_seed=config.seeds.order,
            support_seed=config.seeds.support,
            base_classes=manifest.base_classes,
        )
        check_protocol(method, self._settings, config.protocol, self.sessions)
        self._store = StageStore(config.store)
        self._table = shards.table
        self._method = method
        self._learner: Learner | None = None
        self._learned = 0  # sessions that the learner has behind it
        self._addresses: list[str] = []
        self.record = TrialRecord(
            trial=self.folder.name,
            configuration=config.configuration,
            method=config.method,
            settings=self._settings.model_dump(mode="json"),
            varied={key: config.settings[key] for key in config.varied if key in config.settings},
            seeds=config.seeds,
            benchmark=manifest.name,
            benchmark_fingerprint=manifest.fingerprint,
            class_names=shards.table.class_names,
            protocol=config.protocol.model_dump(mode="json"),
            backbone=config.backbone if method.backbone else "none",
            frontend=str(self._features.frontend.spec) if method.backbone else "none",
            heads=method.heads,
            default_head=method.default_head(self._settings),
            planned_sessions=len(self.sessions),
            status="running",
        )

    @property
    def done(self) -> bool:
        """Whether all sessions are behind."""
        return len(self._addresses) == len(self.sessions)

    def addresses(self, device: str | None = None) -> list[str]:
        """Addresses of the stages of all sessions, which are known before any is computed.

        Args:
            device: as if networks ran there; where they do if None.
        """
        found: list[str] = []
        for session in self.sessions:
            depends_on = self._depends_on(session, found[-1] if found else None)
            found.append(address_of(depends_on | ({"device": device} if device else {})))
        return found

    def step(self) -> SessionRecord:
        """Goes through the next session: finds its stage, or learns, scores and publishes it."""
        session = self.sessions[len(self._addresses)]
        if session.index == 0:
            self.record.save(self.folder)
        depends_on = self._depends_on(session, self._addresses[-1] if self._addresses else None)
        address = address_of(depends_on)
        stage, reused = find_or_compute(
            self._store.lease(address),
            find=lambda: self._store.find(address),
            compute=lambda: self._compute(session, address, depends_on),
        )
        self._addresses.append(address)
        return self._record(session, stage, reused=reused)

    def fail(self, reason: str) -> None:
        """Records that the trial ended for good, and why."""
        self.record = self.record.model_copy(update={"status": "failed", "error": reason})
        self.record.save(self.folder)

    def _compute(self, session: Session, address: str, depends_on: dict[str, Any]) -> Stage:
        learner = self._learner_before(session.index)
        peak = Peak(self._features.device)
        started = time.perf_counter()
        learner.learn(session, self._generator(session.index))
        self._learned = session.index + 1
        predictions = self._predict(learner, session.index)
        stored, used = learner.parameter_counts()
        seconds = time.perf_counter() - started
        stage = Stage(address, depends_on, predictions, seconds, stored, used, peak.bytes())
        self._store.publish(stage, learner.state())
        return stage

    def _learner_before(self, index: int) -> Learner:
        """A learner with sessions 0 .. index - 1 behind it: ours, one from a stage, or one taught again."""
        if self._learner is not None and self._learned == index:
            return self._learner
        learner = self._method(self._settings, self._features)
        first = index
        state: State | None = None
        while first > 0 and (state := self._store.state(self._addresses[first - 1])) is None:
            first -= 1  # a part was damaged or evicted: go back to what is whole
        if state is not None and first > 0:
            learner.load(state)
        for session in self.sessions[first:index]:
            learner.learn(session, self._generator(session.index))
        self._learner = learner
        return learner

    def _predict(self, learner: Learner, index: int) -> pa.Table:
        """Per-clip predictions of every head for the clips of all classes seen so far."""
        columns: dict[str, list[Any]] = {name: [] for name in PREDICTIONS.names}
        classes = np.array(learner.classes, dtype=np.int32)
        for session in self.sessions[: index + 1]:
            for one in session.classes:
                for split, positions in (("val", one.validation), ("test", one.query)):
                    clip_ids = [self._table.clip_ids[position] for position in positions]
                    for head, scores in self._scores(learner, positions, index).items():
                        columns["split"] += [split] * len(positions)
                        columns["clip_id"] += clip_ids
                        columns["label"] += [one.label] * len(positions)
                        columns["head"] += [head] * len(positions)
                        columns["prediction"] += classes[scores.argmax(dim=1).cpu().numpy()].tolist()
        return pa.table(columns, schema=PREDICTIONS)

    def _scores(self, learner: Learner, positions: tuple[int, ...], index: int) -> dict[str, Tensor]:
        """The learner's scores, if they are scores: an argmax over NaN would be published as a prediction."""
        scores = learner.score(positions)
        assert tuple(scores) == self._method.heads, f"{self._method.name} scores {list(scores)}"
        for head, values in scores.items():
            assert values.shape == (len(positions), len(learner.classes)), f"{head}: {tuple(values.shape)}"
            if not torch.isfinite(values).all():
                raise EarshotError(
                    f"session {index}: head '{head}' gives scores that are not finite: training diverged; "
                    "lower the learning rate"
                )
        return scores

    def _record(self, session: Session, stage: Stage, *, reused: bool) -> SessionRecord:
        name = f"session-{session.index:02d}.parquet"
        (self.folder / name).write(parquet_bytes(stage.predictions))
        record = SessionRecord(
            index=session.index,
            classes=session.labels,
            stage=stage.address,
            predictions=name,
            seconds=stage.seconds,
            reused=reused,
            parameters_stored=stage.parameters_stored,
            parameters_used=stage.parameters_used,
            peak_bytes=stage.peak_bytes,
        )
        self.record = self.record.model_copy(
            update={
                "sessions": (*self.record.sessions, record),
                "status": "finished" if self.done else "running",
            }
        )
        self.record.save(self.folder)
        return record

    def _depends_on(self, session: Session, parent: str | None) -> dict[str, Any]:
        """All that the session's outcome depends on. What earlier sessions read is in the parent's address."""
        config, features = self.config, self._features
        return {
            "schema": SCHEMA_VERSION,
            "parent": parent,
            "method": config.method,
            "version": self._method.version,
            "settings": self._settings.read_by(session.index),
            "session": session.index,
            "clips": [[one.label, one.support, one.validation, one.query] for one in session.classes],
            "initialisation": config.seeds.initialisation,
            "data": features.clips.fingerprint,
            "weights": features.backbone.digest if self._method.backbone else None,
            "frontend": str(features.frontend.spec),
            "precision": config.precision,
            "device": features.device.type,
            "threads": config.threads,
        }

    def _generator(self, index: int) -> torch.Generator:
        """The source of randomness of one session: a session can be computed alone."""
        digest = hashlib.sha256(f"initialisation {self.config.seeds.initialisation} session {index}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def open_features(config: ChainConfig) -> tuple[Features, Shards]:
    """What chains read: the clips of the benchmark, and the front end and backbone that look at them.

    Raises:
        EarshotError: the benchmark or the backbone cannot be read, or there is no such device.
    """
    shards = Shards(config.benchmark)
    device = pick_device(config.device)
    frontend = FrontEnd(config.frontend, shards.sample_rate, shards.manifest.num_samples, device)
    backbone = load_backbone(config.backbone, frontend.frames) if find_method(config.method).backbone else None
    store = ArrayStore(Location.of(config.store) / "features")
    return Features(shards, frontend, backbone, store, device, config.precision), shards


def _reads(config: ChainConfig) -> tuple[Any, ...]:
    """What `open_features` depends on."""
    needs_backbone = find_method(config.method).backbone
    read = (config.benchmark, config.frontend, config.backbone, config.device, config.precision, config.store)
    return (needs_backbone, *read)


def pick_device(name: str) -> torch.device:
    """The device called `name`.

    Raises:
        EarshotError: it is not `cpu` or `cuda`, or there is no GPU.
    """
    if name not in ("cpu", "cuda"):
        raise EarshotError(f"device '{name}': expected cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise EarshotError("device 'cuda': PyTorch sees no GPU here; use --device cpu")
    return torch.device(name)


def parser() -> CommandLine:
    """The command line."""
    made = CommandLine("trainables.chain", description=__doc__)
    made.add_argument("--config", type=Path, required=True, help="YAML with the fields of ChainConfig")
    made.add_argument("--out", type=Path, required=True, help="folder for the record and the predictions")
    return made


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m trainables.chain`."""
    options = parser().parse_args(arguments)
    chain = Chain(validated(ChainConfig, read_yaml(options.config), str(options.config)), options.out)
    while not chain.done:
        record = chain.step()
        how = "cached" if record.reused else f"{record.seconds:.1f} s"
        print(f"session {record.index + 1}/{len(chain.sessions)}  {len(record.classes)} new classes  {how}")
    print(options.out / "trial.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
