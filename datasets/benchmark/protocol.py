"""Protocols: how a benchmark is divided into sessions.

    session      0              1            2      ...
    classes   base (B)      way (W)      way (W)
    support   B x shot      W x shot     W x shot          training clips
    queries   B classes     B+W classes  B+2W classes      scored clips, of all classes seen so far

With `leave`, every second incremental session removes classes instead: they are no longer queried, and a classifier
should no longer predict them (few-shot class-incremental and decremental learning, FCIAC, arXiv 2606.08898).

Sessions are made from the table of clip ids, labels and splits alone; no audio is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from datasets.benchmark.clips import ClipTable
from datasets.benchmark.cross_domain import CROSS_DOMAIN, SESSIONS, WAY, check_mix
from datasets.benchmark.manifest import SPLITS
from datasets.utils.errors import EarshotError
from datasets.utils.permutation import permutation
from datasets.utils.suggestion import suggestion
from datasets.utils.text import first_few, printable

_NAMED = 20  # classes that an error names


class Protocol(BaseModel):
    """The rules of a chain, without its seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("free", pattern=r"^[\w][\w.+-]*$")
    base: int | None = Field(None, ge=2, description="classes of the base session (default: the benchmark's, else way)")
    way: int = Field(5, ge=1, description="new classes of each incremental session")
    shot: int | Literal["all"] = Field(5, description="support clips of a class, or 'all'")
    base_shot: int | Literal["all"] | None = Field(
        None, description="support clips of a base class, or 'all' (default: shot)"
    )
    leave: int = Field(
        0, ge=0, exclude_if=lambda leave: leave == 0,
        description="classes that leave after each incremental session, in a session of their own: the first half of"
        " them base classes, the others of those that came last",
    )  # fmt: skip
    sessions: int | None = Field(None, ge=1, description="number of sessions with the base one (default: to the end)")
    class_order: Literal["fixed", "seeded"] | tuple[int, ...] = Field(
        "fixed", description="'fixed' (by label), 'seeded', or labels in order, such as 3,0,2,1"
    )
    validation: int = Field(20, ge=1, description="validation clips of a class, at most")
    exemplars: int | None = Field(
        None, ge=0, description="stored clips of an old class that a method may replay, at most (default: unlimited)"
    )

    @field_validator("shot", "base_shot")
    @classmethod
    def _positive(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be at least 1, or 'all'")
        return value

    @field_validator("class_order")
    @classmethod
    def _distinct(cls, value: str | tuple[int, ...]) -> str | tuple[int, ...]:
        if isinstance(value, tuple) and len(set(value)) != len(value):
            raise ValueError("names a label twice")
        return value


class AllClips(Protocol):
    """A protocol whose sessions have all train clips: for a classifier that is used, not compared.

    Without a val split there are then no validation clips, so none are chosen here.
    """

    shot: int | Literal["all"] = "all"
    validation: int = Field(0, ge=0, le=0)

    @classmethod
    def like(cls, protocol: Protocol) -> "AllClips":
        """The classes and sessions of another protocol, in the same order."""
        changed = {"name": f"{protocol.name}-all-clips", "shot": "all", "base_shot": None, "validation": 0}
        return cls.model_validate({**protocol.model_dump(), **changed})


NAMED = {
    "ffcac-25": Protocol(name="ffcac-25", base=5, way=5, sessions=5),
    "ffcac-50": Protocol(name="ffcac-50", base=5, way=5, sessions=10),
    "ffcac-100": Protocol(name="ffcac-100", base=5, way=5),
    "fcac": Protocol(name="fcac", way=5, base_shot="all"),
    "fciac": Protocol(name="fciac", way=5, base_shot="all", leave=2),
    **{
        name: Protocol(
            name=name,
            base=chain.first.base,
            way=WAY,
            base_shot="all",
            sessions=1 + SESSIONS,
            class_order=chain.class_order,
        )
        for name, chain in CROSS_DOMAIN.items()
    },
    "free": Protocol(),
}


def by_name(value: Any) -> Any:
    """Resolves the name of a protocol, or a name with changed fields; returns anything else unchanged.

    A published protocol keeps its name if only `validation`, `exemplars` or a seeded class order differ. With any other
    change it is renamed NAME-changed, so that its results are not taken for those of the published protocol.
    """
    fields = {"name": value} if isinstance(value, str) else value
    if not isinstance(fields, dict) or "name" not in fields:
        return value
    name = fields["name"]
    if not isinstance(name, str) or (isinstance(value, str) and name not in NAMED):
        raise ValueError(f"{name!r} is not known; {suggestion(str(name), NAMED)}")
    if name not in NAMED:
        return value
    changed = Protocol.model_validate({**NAMED[name].model_dump(), **fields})
    for key in ("class_order", "base") if name in CROSS_DOMAIN else ():
        if getattr(changed, key) != getattr(NAMED[name], key):
            raise ValueError(f"{key}: {name} has classes of one benchmark, then of another; leave the option out")
    allowed: dict[str, Any] = {"validation": changed.validation, "exemplars": changed.exemplars}
    if changed.class_order == "seeded":
        allowed["class_order"] = "seeded"
    if name == "free" or changed == NAMED[name].model_copy(update=allowed):
        return changed
    return changed.model_copy(update={"name": f"{name}-changed"})


AnyProtocol = Annotated[Protocol, BeforeValidator(by_name)]


@dataclass(frozen=True)
class ClassClips:
    """The clips of one class, as positions in the clip table.

    Attributes:
        label: of the class.
        support: training clips.
        pool: all train clips without the validation clips; only `compat: reference` uses clips outside the support.
        validation: clips for model selection.
        query: test clips.
    """

    label: int
    support: tuple[int, ...]
    pool: tuple[int, ...]
    validation: tuple[int, ...]
    query: tuple[int, ...]


@dataclass(frozen=True)
class Session:
    """One step of a chain.

    Attributes:
        index: from 0.
        classes: the new ones with their clips; none if classes leave.
        leaving: classes that are queried no longer, with the clips that they had.
    """

    index: int
    classes: tuple[ClassClips, ...]
    leaving: tuple[ClassClips, ...] = ()

    @property
    def labels(self) -> tuple[int, ...]:
        """The new labels, in class order."""
        return tuple(clips.label for clips in self.classes)

    @property
    def support(self) -> tuple[int, ...]:
        """Positions of all support clips, class by class."""
        return tuple(position for clips in self.classes for position in clips.support)

    @property
    def support_labels(self) -> tuple[int, ...]:
        """The label of each support clip."""
        return tuple(clips.label for clips in self.classes for _ in clips.support)


def make_sessions(
    protocol: Protocol,
    table: ClipTable,
    *,
    order_seed: int,
    support_seed: int,
    base_classes: int | None = None,
) -> tuple[Session, ...]:
    """Assigns the clips of a benchmark to sessions.

    Args:
        protocol: the rules.
        table: clip ids, labels and splits; the clips of a class are taken in this order.
        order_seed: seed of the class order, for protocols with a seeded one.
        support_seed: seed of the support draw.
        base_classes: number of base classes of the benchmark, for protocols that do not set it.

    Raises:
        EarshotError: the benchmark has too few classes or clips for the protocol, or is not the mix that it needs.
    """
    check_mix(protocol.name, table.class_names)
    sizes = _session_sizes(protocol, len(table.class_names), base_classes)
    order = _class_order(protocol, len(table.class_names), sum(sizes), order_seed)
    clips = {split: _by_label(table, split) for split in SPLITS}
    base_shot = protocol.shot if protocol.base_shot is None else protocol.base_shot
    shots = {label: protocol.shot if rank >= sizes[0] else base_shot for rank, label in enumerate(order)}
    _check_clips(shots, table, clips, protocol.validation)
    sessions: list[Session] = []
    first = 0
    leaving_seed = order_seed if protocol.class_order == "seeded" else 0
    for index, size in enumerate(sizes):
        classes = [
            _class_clips(label, clips, shots[label], protocol.validation, support_seed)
            for label in order[first : first + size]
        ]
        leaving = () if size else _draw_leaving(sessions, protocol, leaving_seed)
        sessions.append(Session(index, tuple(classes), leaving))
        first += size
    return tuple(sessions)


def classes_present(sessions: Sequence[Session]) -> tuple[ClassClips, ...]:
    """The classes that have come in some sessions and have not left in them, in the order in which they came."""
    gone = {clips.label for session in sessions for clips in session.leaving}
    return tuple(clips for session in sessions for clips in session.classes if clips.label not in gone)


def _draw_leaving(sessions: Sequence[Session], protocol: Protocol, seed: int) -> tuple[ClassClips, ...]:
    """Draws the classes that leave after some sessions: base classes, and of those that came last."""
    present = {clips.label for clips in classes_present(sessions)}
    drawn: list[ClassClips] = []
    latest = [session for session in sessions if session.classes][-1]
    for source, count in ((sessions[0], protocol.leave - protocol.leave // 2), (latest, protocol.leave // 2)):
        candidates = [clips for clips in source.classes if clips.label in present]
        if source is sessions[0] and len(candidates) <= count:
            raise EarshotError(
                f"protocol {protocol.name}: session {len(sessions)} removes {count} base classes (leave "
                f"{protocol.leave}), {len(candidates)} are left and one must stay; take fewer with --leave or "
                "--sessions, or more with --base"
            )
        if len(candidates) < count:
            raise EarshotError(
                f"protocol {protocol.name}: session {len(sessions)} removes {count} of the classes that came last "
                f"(leave {protocol.leave}), these are {len(candidates)}; take fewer with --leave or --sessions"
            )
        chosen = np.random.default_rng([seed, len(sessions)]).permutation(len(candidates))[:count]
        drawn += [candidates[index] for index in sorted(chosen)]
    return tuple(drawn)


def draw_support(count: int, shot: int, seed: int) -> tuple[int, ...]:
    """Draws the support clips of a class: indices among its `count` train clips.

    Follows the released code of EDE: `torch.manual_seed(seed)` before every class, then the first `shot` values of
    `torch.randperm(count)`; with a private generator.
    """
    return tuple(permutation(count, seed)[:shot])


def _session_sizes(protocol: Protocol, available: int, base_classes: int | None) -> list[int]:
    """Number of new classes of each session, 0 where classes leave.

    The last new classes may be fewer if the protocol sets no number of sessions.
    """
    base = protocol.base
    if base is None and protocol.base_shot == "all" and base_classes is None:
        raise EarshotError(
            f"protocol {protocol.name}: the benchmark does not say how many of its classes are base classes; "
            "give --base"
        )
    base = base or base_classes or protocol.way
    sizes = [base]
    while protocol.sessions is None and sum(sizes) < available:
        sizes.append(min(protocol.way, available - sum(sizes)))
        sizes += [0] if protocol.leave else []
    if protocol.sessions is not None:
        sizes += [0 if protocol.leave and index % 2 else protocol.way for index in range(protocol.sessions - 1)]
    if sum(sizes) > available:
        raise EarshotError(
            f"protocol {protocol.name}: needs {sum(sizes)} classes (base {base}, then {protocol.way} a session, "
            f"{len(sizes)} sessions), the benchmark has {available}; take fewer with --sessions, --base or --way"
        )
    return sizes


def _class_order(protocol: Protocol, available: int, needed: int, seed: int) -> Sequence[int]:
    """Labels in the order in which sessions add them.

    A seeded order permutes the classes of the fixed order, so both use the same set of classes.
    """
    if protocol.class_order == "fixed":
        return range(needed)
    if protocol.class_order == "seeded":
        return permutation(needed, seed)
    order = protocol.class_order
    assert isinstance(order, tuple)
    unknown = [label for label in order if not 0 <= label < available]
    if unknown:
        raise EarshotError(f"class_order: label {unknown[0]} is not in the benchmark; expected 0 to {available - 1}")
    if len(order) < needed:
        raise EarshotError(f"class_order: names {len(order)} labels, protocol {protocol.name} needs {needed}")
    return order[:needed]


def _by_label(table: ClipTable, split: str) -> dict[int, np.ndarray]:
    chosen = np.flatnonzero(table.splits == split)
    labels = table.labels[chosen]
    return {int(label): chosen[labels == label] for label in np.unique(labels)}


def _check_clips(
    shots: Mapping[int, int | str], table: ClipTable, clips: dict[str, dict[int, np.ndarray]], validation: int
) -> None:
    """Checks that every class has the clips that its session needs.

    Args:
        shots: support clips by label.
        table: of the benchmark.
        clips: positions by split and label.
        validation: clips of a class for model selection, at most; 0: none are needed.

    Raises:
        EarshotError: names all classes that lack train, test or validation clips.
    """
    few_train, no_test, no_validation = [], [], []
    for label, shot in sorted(shots.items()):
        train, val, test = (len(clips[split].get(label, ())) for split in SPLITS)
        needed = 1 if shot == "all" else int(shot)
        name = printable(f"{table.class_names[label]!r} (label {label})")
        if train < needed:
            few_train.append(f"{name} has {train} of {needed}")
        if not test:
            no_test.append(name)
        # Novel classes of NSynth-100 and FSC-89 have no val split: train clips outside of the support take its place.
        if validation and train >= needed and not val and (shot == "all" or train == needed):
            no_validation.append(name)
    problems = [
        f"{what}: {first_few(names, _NAMED)}"
        for what, names in (
            ("too few train clips for the shots", few_train),
            ("no test clips", no_test),
            ("no validation clips, neither a val split nor train clips outside of the support", no_validation),
        )
        if names
    ]
    if problems:
        raise EarshotError(
            f"classes that the protocol cannot use: {'; '.join(problems)}; take fewer shots (--shot, --base-shot), or "
            "prepare the benchmark again with more clips of these classes or without them"
        )


def _class_clips(
    label: int, clips: dict[str, dict[int, np.ndarray]], shot: int | str, validation: int, seed: int
) -> ClassClips:
    """The clips of a class that passed `_check_clips`."""
    train, val, test = (clips[split].get(label, np.empty(0, dtype=np.int64)) for split in SPLITS)
    drawn = range(len(train)) if shot == "all" else draw_support(len(train), int(shot), seed)
    support = tuple(int(train[index]) for index in drawn)
    held_out = (val if len(val) else np.setdiff1d(train, support))[:validation]
    return ClassClips(
        label=label,
        support=support,
        pool=tuple(map(int, np.setdiff1d(train, held_out))),
        validation=tuple(map(int, held_out)),
        query=tuple(map(int, test)),
    )
