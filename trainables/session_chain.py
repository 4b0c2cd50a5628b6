"""A chain: a base session and incremental sessions, in order, with one learner. Imports no Ray."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from datasets.benchmark.chain_digests import draw_digest
from datasets.benchmark.protocol import ClassClips, Session, classes_present, make_sessions
from datasets.benchmark.protocol_hash import protocol_hash
from datasets.benchmark.shards import Shards
from datasets.utils.location import Location
from datasets.utils.validation import validated
from trainables.chain_config import ChainConfig
from trainables.chain_inputs import code_digest, inputs_of, open_features
from trainables.learners.features import Features
from trainables.learners.learner import Learner
from trainables.learners.session_generator import session_generator
from trainables.learners.training_listener import listen_to_training
from trainables.live_curves import LiveCurves
from trainables.memory_limit import PeakMemory
from trainables.methods.registry import check_backbone, check_protocol, find_method
from trainables.networks.specs import upsampling
from trainables.record_file import RecordFile
from trainables.records import (
    INDUCTIVE,
    PROTOCOL_HASH,
    TRANSDUCTIVE,
    MethodCode,
    SessionRecord,
    TrialRecord,
    predictions_digest,
)
from trainables.score_checks import check_embeddings, check_scores
from trainables.scoring import ScoredClips, predictions_table
from trainables.store.layout import address_of
from trainables.store.lease import find_or_compute
from trainables.store.stages import SCHEMA_VERSION, Stage, StageStore, parquet_bytes
from trainables.store.state import State
from trainables.training_curves import Curves, curves_file, curves_of, write_curves
from trainables.unknown import NotScoredError, best_scores, classes_to_come, unknown_address, unknown_table


class Chain:
    """A chain that takes finished sessions from the store and computes the others.

    Args:
        config: what to run.
        folder: where the trial's record and predictions go.
        before: an earlier chain of this process; clips, backbone and front end are reused where they are the same.

    Attributes:
        curves: of the trainings of the last session.
        learner: the last one that was needed to compute a session; None if all sessions were in the store.
        record: of the trial so far.
        waited: seconds that the last session waited for another process that computed it.
        sessions: of the chain.

    Raises:
        EarshotError: the benchmark, the protocol, the backbone or the method's settings do not fit.
    """

    def __init__(self, config: ChainConfig, folder: Path | Location, before: "Chain | None" = None) -> None:
        torch.set_num_threads(config.threads)
        self.config = config
        self.folder = Location.of(folder)
        self._method = find_method(config.method, config.method_code)
        self._code = code_digest(config)
        self._settings = validated(self._method.Settings, config.settings, f"method {config.method}")
        self._features: Features
        self._shards: Shards
        if before is not None and inputs_of(before.config) == inputs_of(config):
            self._features, self._shards = before._features, before._shards
        else:
            self._features, self._shards = open_features(config)
        self._table = self._shards.table
        self.sessions = make_sessions(
            config.protocol,
            self._table,
            order_seed=config.seeds.order,
            support_seed=config.seeds.support,
            base_classes=self._shards.manifest.base_classes,
        )
        check_protocol(self._method, self._settings, config.protocol, self.sessions)
        if self._method.backbone:
            check_backbone(self._method, self._settings, self._features.backbone, config.backbone)
        self._store = StageStore(config.store)
        self.curves: Curves = ()
        self.waited = 0.0
        self.learner: Learner | None = None
        self._learned = 0  # sessions that the learner has learned
        self._addresses: list[str] = []
        self.record = self._new_record()
        self._file = RecordFile(self.folder)

    @property
    def protocol_hash(self) -> str:
        """Of the benchmark and the protocol; see `datasets.benchmark.protocol_hash`."""
        base, manifest = len(self.sessions[0].classes), self._shards.manifest
        return protocol_hash(manifest.content_digest, self.config.protocol, base=base, sessions=len(self.sessions))

    @property
    def done(self) -> bool:
        """Whether all sessions are finished."""
        return len(self._addresses) == len(self.sessions)

    def addresses(self, device: str | None = None) -> list[str]:
        """Addresses of the stages of all sessions, which are known before any is computed.

        Args:
            device: type of the device that networks are assumed to run on (default: that of this chain).
        """
        addresses: list[str] = []
        for session in self.sessions:
            depends_on = self._depends_on(session, addresses[-1] if addresses else None)
            addresses.append(address_of(depends_on | ({"device": device} if device else {})))
        return addresses

    def step(self) -> SessionRecord:
        """Runs the next session: takes its stage from the store, or learns, scores and publishes it."""
        session = self.sessions[len(self._addresses)]
        if session.index == 0:
            self._file.begin(self.record)
        depends_on = self._depends_on(session, self._addresses[-1] if self._addresses else None)
        address = address_of(depends_on)
        lease = self._store.lease(address)
        stage, cached = find_or_compute(
            lease,
            find=lambda: self._store.find(address),
            compute=lambda: self._compute(session, address, depends_on),
        )
        self._addresses.append(address)
        self.waited = lease.waited
        unknown = self._unknown(session.index, lambda classes: self._score_unknown(classes, session.index))
        return self._save_session(session, stage, unknown, cached=cached)

    def cached_step(self, address: str) -> SessionRecord | None:
        """`step` where it computes nothing: None, and nothing done, if the store does not have the session.

        Args:
            address: of the next session, from `addresses`.
        """
        session = self.sessions[len(self._addresses)]
        stage = self._store.find(address) if self.has_unknown(session.index, address) else None
        if stage is None:
            return None
        if session.index == 0:
            self._file.begin(self.record)
        self._addresses.append(address)
        return self._save_session(session, stage, self._unknown(session.index, _not_stored), cached=True)

    def has_unknown(self, index: int, address: str) -> bool:
        """Whether the store has what clips of classes still to come get after a session, or it cannot be computed.

        Args:
            index: of the session.
            address: of its stage.
        """
        classes = self._classes_to_come(index)
        return (
            not classes
            or self._features.store.has(unknown_address(address, classes))
            or not self._store.has_state(address)
        )

    def fail(self, reason: str) -> None:
        """Records that the trial failed for good, and why."""
        self.record = self.record.model_copy(update={"status": "failed", "error": reason})
        self.record.save(self.folder)

    def _compute(self, session: Session, address: str, depends_on: dict[str, Any]) -> Stage:
        learner = self._learner_before(session.index)
        peak = PeakMemory(self._features.device)
        started = time.perf_counter()
        if self._reads_embeddings_only():
            check_embeddings(self._features, self._table.clip_ids, session)
        curves = self._run(learner, session)
        self._learned = session.index + 1
        predictions = self._predict(learner, session.index)
        stored, used = learner.parameter_counts()
        seconds = time.perf_counter() - started
        training = tuple(curve.model_dump(mode="json") for curve in curves)
        stage = Stage(address, depends_on, predictions, seconds, stored, used, peak.bytes(), training)
        self._store.publish(stage, learner.state())
        return stage

    def _learner_before(self, index: int) -> Learner:
        """A learner of sessions 0 to index - 1: the current one, one loaded from a stage, or one trained again."""
        if self.learner is not None and self._learned == index:
            return self.learner
        learner = self._method(self._settings, self._features)
        first = index
        state: State | None = None
        while first > 0 and (state := self._store.state(self._addresses[first - 1])) is None:
            first -= 1  # a part was damaged or evicted: go back to the last complete state
        if state is not None and first > 0:
            learner.load(state)
        for session in self.sessions[first:index]:
            self._run(learner, session)
        self.learner = learner
        return learner

    def _learner_after(self, index: int) -> Learner | None:
        """The learner of sessions 0 to index: the current one, or that of the stage; None if it is incomplete."""
        if self.learner is None or self._learned != index + 1:
            state = self._store.state(self._addresses[index])
            if state is None:
                return None
            self.learner = self._method(self._settings, self._features)
            self.learner.load(state)
            self._learned = index + 1
        return self.learner

    def _reads_embeddings_only(self) -> bool:
        """Whether the method trains nothing: a clip is its embedding, or with text that of its class."""
        method = self._method
        return method.backbone and method.capabilities(self._settings) <= {"embed", "text"}

    def _run(self, learner: Learner, session: Session) -> Curves:
        """Learns the new classes of a session; forgets those that leave, if the method can. The curves of training."""
        with LiveCurves(self.folder, session.index) as live, listen_to_training(live):
            if session.classes:
                learner.learn(session, session_generator(self.config.seeds.initialisation, session.index))
            for clips in session.leaving if learner.forgets else ():
                learner.forget(clips)
        return live.curves()

    def _predict(self, learner: Learner, index: int) -> pa.Table:
        """Per-clip predictions of every head for the clips of all classes that have come and not left."""
        groups = [
            (split, clips.label, positions)
            for clips in classes_present(self.sessions[: index + 1])
            for split, positions in (("val", clips.validation), ("test", clips.query))
            if positions  # no validation clips, where all train clips are support
        ]
        batches = [groups]
        if learner.transductive:  # validation clips must not count for the scores of test clips
            batches = [[group for group in groups if group[0] == split] for split in ("val", "test")]
        scored = {}
        for batch in batches:
            all_scores = learner.score_groups([positions for _, _, positions in batch])
            for (split, label, positions), scores in zip(batch, all_scores, strict=True):
                check_scores(scores, learner, len(positions), index)
                clip_ids = [self._table.clip_ids[position] for position in positions]
                scored[split, label] = ScoredClips(split, label, clip_ids, scores)
        return predictions_table([scored[split, label] for split, label, _ in groups], learner.classes)

    def _unknown(
        self, index: int, compute: Callable[[tuple[ClassClips, ...]], Iterator[np.ndarray]]
    ) -> pa.Table | None:
        """Predictions of the session's learner for test clips of classes still to come.

        None if no class is, if the store has neither these scores nor the learner's weights, which were evicted or
        damaged (the session is not trained again for this), and if a score is not finite: that session will say so.

        Args:
            index: of the session, whose stage is stored.
            compute: called with the classes, if the store does not have their scores.
        """
        classes = self._classes_to_come(index)
        if not classes:
            return None
        address = unknown_address(self._addresses[index], classes)
        ids = [self._table.clip_ids[position] for clips in classes for position in clips.query]
        try:
            values = self._features.store.get(address, len(ids), lambda: compute(classes), shared=True)
        except NotScoredError:
            return None
        return unknown_table(values, classes, self._method.heads, ids)

    def _classes_to_come(self, index: int) -> tuple[ClassClips, ...]:
        """The classes of `_unknown`; none for a transductive method, whose scores of a clip depend on its batch."""
        return () if self._method.transductive else classes_to_come(self.sessions, index)

    def _score_unknown(self, classes: tuple[ClassClips, ...], index: int) -> Iterator[np.ndarray]:
        """The best scores of the clips of each class, from the learner after a session."""
        learner = self._learner_after(index)
        if learner is None:
            raise NotScoredError
        for scores in learner.score_groups([clips.query for clips in classes]):
            if not all(torch.isfinite(values).all() for values in scores.values()):
                raise NotScoredError
            yield best_scores(scores, learner.classes)

    def _new_record(self) -> TrialRecord:
        """The record of a trial without finished sessions."""
        config, method, manifest = self.config, self._method, self._shards.manifest
        return TrialRecord(
            trial=self.folder.name,
            configuration=config.configuration,
            method=config.method,
            method_code=MethodCode.of(config.method_code, self._code),
            settings=self._settings.model_dump(mode="json"),
            varied={key: config.settings[key] for key in config.varied if key in config.settings},
            seeds=config.seeds,
            benchmark=manifest.name,
            benchmark_fingerprint=manifest.fingerprint,
            benchmark_content=manifest.content,
            class_names=self._table.class_names,
            protocol=config.protocol.model_dump(mode="json"),
            track=TRANSDUCTIVE if method.transductive else INDUCTIVE,
            protocol_hash=self.protocol_hash,
            method_version=method.version,
            corpus=manifest.corpus,
            draw=draw_digest(self.sessions, self._table.clip_ids),
            backbone=config.backbone if method.backbone else "none",
            frontend=str(self._features.frontend.spec) if method.backbone else "none",
            layer=config.layer if method.backbone else "last",
            pool=config.pool if method.backbone else None,
            padding=config.padding if method.backbone else "model",
            trust_remote_code=config.trust_remote_code if method.backbone else None,
            upsampled=self._upsampled(),
            heads=method.heads,
            default_head=method.default_head(self._settings),
            planned_sessions=len(self.sessions),
            status="running",
        )

    def _upsampled(self) -> tuple[int, int] | None:
        expected = self._features.backbone.sample_rate if self._method.backbone else None
        rate = self._features.frontend.sample_rate
        return (rate, expected) if upsampling(rate, expected) and expected else None

    def _save_session(self, session: Session, stage: Stage, unknown: pa.Table | None, *, cached: bool) -> SessionRecord:
        """Writes the predictions of a session and adds the session to the trial's record."""
        name = f"session-{session.index:02d}.parquet"
        hashed = {PROTOCOL_HASH: self.protocol_hash.encode()}  # here, as chains of several protocols share stages
        predictions = parquet_bytes(stage.predictions.replace_schema_metadata(hashed))
        content = None if unknown is None else parquet_bytes(unknown.replace_schema_metadata(hashed))
        place = self.folder / f"unknown-{session.index:02d}.parquet"
        of_unknown = {} if content is None else {"unknown": place.name, "unknown_sha256": predictions_digest(content)}
        self.curves = curves_of(stage.training)
        file = self.folder / curves_file(session.index)
        training = write_curves(session.index, self.curves) if self.curves else None
        of_training = (
            {} if training is None else {"training": file.name, "training_sha256": predictions_digest(training)}
        )
        record = SessionRecord(
            index=session.index,
            classes=session.labels,
            left=tuple(clips.label for clips in session.leaving),
            stage=stage.address,
            predictions=name,
            predictions_sha256=predictions_digest(predictions),
            **of_unknown,
            **of_training,
            seconds=stage.seconds,
            cached=cached,
            parameters_stored=stage.parameters_stored,
            parameters_used=stage.parameters_used,
            peak_bytes=stage.peak_bytes,
        )
        self._file.expect(self.record, record)
        (self.folder / name).write(predictions)
        if content is not None:
            place.write(content)
        else:
            place.remove()  # of an earlier launch, that could still compute it
        if training is not None:
            file.write(training)
        self.record = self.record.model_copy(
            update={
                "sessions": (*self.record.sessions, record),
                "status": "finished" if self.done else "running",
            }
        )
        self._file.save(self.record)
        return record

    def _depends_on(self, session: Session, parent: str | None) -> dict[str, Any]:
        """Everything that a session's outcome depends on; earlier sessions are covered by the parent's address."""
        config, features = self.config, self._features
        leaving = {"leaving": [clips.label for clips in session.leaving]} if session.leaving else {}
        return {
            **leaving,
            "schema": SCHEMA_VERSION,
            "parent": parent,
            "method": config.method,
            "version": self._method.version,
            **({"code": self._code} if self._code else {}),
            "settings": self._settings.read_by(session.index),
            "session": session.index,
            "clips": [[clips.label, clips.support, clips.validation, clips.query] for clips in session.classes],
            "initialisation": config.seeds.initialisation,
            "data": features.clips.fingerprint,
            "weights": features.backbone.digest if self._method.backbone else None,
            **self._text(),
            "frontend": str(features.frontend.spec),
            "precision": config.precision,
            "device": features.device.type,
            "threads": config.threads,
        }

    def _text(self) -> dict[str, str]:
        """The digest of the text tower, for methods that need one."""
        if not self._method.backbone or "text" not in self._method.capabilities(self._settings):
            return {}
        text = self._features.backbone.text
        assert text is not None
        return {"text": text.digest}


def _not_stored(classes: tuple[ClassClips, ...]) -> Iterator[np.ndarray]:
    raise NotScoredError
