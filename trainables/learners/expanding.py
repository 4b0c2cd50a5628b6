"""What EDE, DER and MEMO share: a network that grows by one part a session, over parts that are frozen.

    S_0 .. S_t  one part per session, S_t a copy of S_{t-1}; frozen after its own session
    e(x)        = [ S_0(x) ; ... ; S_t(x) ]
    head        = linear over e(x), over all classes seen so far; its old block is kept when it grows

Session t trains S_t, the head and a fresh auxiliary head, new classes + 1 outputs on S_t(x) alone, that tells each new
class from the others and from all old ones together, on the new support and the exemplars:

    L = CE(head(e(x)), y) + alpha_aux CE(auxiliary(S_t(x)), max(0, y - known + 1)),    y = 0, 1, .. in class order

S_i(x) is computed once per group of clips for every frozen i; an epoch runs S_t alone.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners import features
from trainables.learners.exemplars import Exemplars
from trainables.learners.features import Features
from trainables.learners.learner import Learner, Needs, column_labels
from trainables.learners.training import Training, train
from trainables.networks.backbone import Backbone, weights_digest
from trainables.networks.classifier import count_values, frozen, restored_linear, trainable
from trainables.networks.heads import distance_scores, linear_head
from trainables.store.arrays import ConcatRows, Rows
from trainables.store.state import State


class ExpandingTraining(Training):
    """Settings of a method whose network grows."""

    exemplars_per_class: int = Field(1, ge=1, description="clips of an old class that are rehearsed")
    incremental_alpha_aux: float = Field(1.0, ge=0, description="weight of the auxiliary loss")


class Expanding(Learner):
    """Grows by a part a session; rehearses exemplars that are herded from the support."""

    def __init__(self, settings: Any, features: Features) -> None:
        super().__init__(settings, features)
        self._parts: list[nn.Module] = []  # S_0 .. S_t
        self._digests: list[str] = []  # of all weights between the spectrogram and each part's result
        self._head: nn.Linear | None = None
        self._exemplars = Exemplars()
        self._exemplar_means = torch.empty(0)  # [classes, dim (t + 1)], L2-normalised

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        return Needs(exemplars=settings.exemplars_per_class)

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            self._learn_base(session, generator)
        else:
            self._learn_increment(session, generator)
        self._remember(session)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        embedding = self._embedding(positions)
        assert self._head is not None
        with torch.inference_mode():
            return {
                "linear": self._head(embedding),
                "nme": distance_scores(nn.functional.normalize(embedding, dim=1), self._exemplar_means),
            }

    def state(self) -> State:
        assert self._head is not None
        parts = {f"part-{index}": dict(part.state_dict()) for index, part in enumerate(self._parts)}
        parts |= {"head": dict(self._head.state_dict()), "means": {"exemplar_means": self._exemplar_means}}
        notes: dict[str, Any] = {
            "classes": list(self.classes),
            "digests": list(self._digests),
            "exemplars": self._exemplars.notes(),
        }
        return State(parts, notes, frozenset(f"part-{index}" for index in range(len(self._parts))))

    def load(self, state: State) -> None:
        device = self.features.device
        self.classes = list(state.notes["classes"])
        self._digests = list(state.notes["digests"])
        self._exemplars = Exemplars.from_notes(state.notes["exemplars"])
        self._parts = []
        for index in range(len(self._digests)):
            part = self._empty_part()
            part.load_state_dict(state.parts[f"part-{index}"])
            self._parts.append(frozen(part.to(device)))
        self._head = frozen(restored_linear(state.parts["head"], device))
        self._exemplar_means = state.parts["means"]["exemplar_means"].to(device)

    def parameters(self) -> tuple[int, int]:
        assert self._head is not None
        count = count_values(*self._parts, self._head) + self._exemplar_means.numel()
        return count, count

    # What a method says for itself.

    @abstractmethod
    def _base_network(self, generator: torch.Generator) -> nn.Module:
        """What the base session trains: `[clips, frames, 128]` to `[clips, dim]`."""

    @abstractmethod
    def _freeze_base(self, network: nn.Module) -> None:
        """Keeps the trained base network: S_0, and what lies below it."""

    @abstractmethod
    def _empty_part(self) -> nn.Module:
        """A part whose weights are to be loaded."""

    @abstractmethod
    def _reads(self, positions: tuple[int, ...]) -> Rows:
        """What a part reads of clips."""

    @abstractmethod
    def _below(self) -> str:
        """Digest of what lies between the spectrogram and a part."""

    def _base_batches(self, session: Session, generator: torch.Generator) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Gives spectrograms and targets of a batch of the base session."""
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(self.features.device)
        return lambda batch: (inputs[batch], targets[batch])

    def _herd(self, session: Session) -> None:
        """Chooses the exemplars of the new classes."""
        self._exemplars.remember_support(session, self._embedding(session.support), self.settings.exemplars_per_class)

    def _finish(self, head: nn.Linear, known: int) -> None:
        """Changes the head after the training of a later session; `known` of its classes are old."""

    # The sessions.

    def _learn_base(self, session: Session, generator: torch.Generator) -> None:
        """Trains the base network and the head with cross-entropy."""
        dim, device = self.features.backbone.dim, self.features.device
        network = self._base_network(generator)
        head = linear_head(dim, len(self.classes), generator).to(device)
        batches = self._base_batches(session, generator)

        def loss(batch: Tensor) -> Tensor:
            inputs, targets = batches(batch)
            return nn.functional.cross_entropy(head(network(inputs)), targets)

        train(
            loss,
            [network, head],
            self.settings.base_schedule(),
            clips=len(session.support),
            generator=generator,
            autocast=self.features.autocast,
            where="base session",
        )
        self._freeze_base(network)
        self._head = frozen(head)

    def _learn_increment(self, session: Session, generator: torch.Generator) -> None:
        """Appends a copy of the last part; trains it with the grown head and a fresh auxiliary head."""
        settings, device, dim = self.settings, self.features.device, self.features.backbone.dim
        groups = [session.support, *self._exemplars.groups]
        labels = [*session.support_labels, *self._exemplars.labels]
        rows = ConcatRows([self._reads(group) for group in groups])
        before = torch.cat([self._embedding(group) for group in groups])
        targets = column_labels(labels, self.classes).to(device)
        known = len(self.classes) - len(session.classes)
        auxiliary_targets = (targets - known + 1).clamp_min(0)

        part = trainable(self._parts[-1])
        head = linear_head(before.shape[1] + dim, len(self.classes), generator, grown_from=self._head).to(device)
        auxiliary = linear_head(dim, len(session.classes) + 1, generator).to(device)

        def loss(batch: Tensor) -> Tensor:
            new = part(rows[batch])
            total = nn.functional.cross_entropy(head(torch.cat([before[batch], new], dim=1)), targets[batch])
            auxiliary_loss = nn.functional.cross_entropy(auxiliary(new), auxiliary_targets[batch])
            return total + settings.incremental_alpha_aux * auxiliary_loss

        train(
            loss,
            [part, head, auxiliary],
            settings.incremental_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where=f"session {session.index}",
        )
        self._finish(head, known)
        self._keep(part)
        self._head = frozen(head)

    def _remember(self, session: Session) -> None:
        """Herds exemplars of the new classes; computes the exemplar means of all."""
        self._herd(session)
        remembered = torch.cat([self._embedding(group) for group in self._exemplars.groups])
        self._exemplar_means = self._exemplars.means(remembered, self.classes)

    def _keep(self, part: nn.Module) -> None:
        self._parts.append(frozen(part))
        self._digests.append(f"{self._below()} {weights_digest(part)}")

    def _embedding(self, positions: tuple[int, ...]) -> Tensor:
        """e(x): `[clips, dim (t + 1)]`; each part runs once per group of clips."""
        embedded = [
            self.features.frozen("part", digest, positions, part, of=partial(self._reads, positions))[:]
            for part, digest in zip(self._parts, self._digests, strict=True)
        ]
        return torch.cat(embedded, dim=1)


class ExpandingOnShared(Expanding):
    """Parts on one shared network G, trained in the base session and then frozen: they read its token maps."""

    def __init__(self, settings: Any, features: Features) -> None:
        super().__init__(settings, features)
        self._shared: Backbone | None = None  # G
        self._shared_digest = ""

    def state(self) -> State:
        assert self._shared is not None
        state = super().state()
        state.parts["shared"] = dict(self._shared.state_dict())
        state.settled |= {"shared"}
        state.notes["shared_digest"] = self._shared_digest
        return state

    def load(self, state: State) -> None:
        self._shared = self._new_shared()
        self._shared.load_state_dict(state.parts["shared"])
        frozen(self._shared)
        self._shared_digest = state.notes["shared_digest"]
        super().load(state)

    def parameters(self) -> tuple[int, int]:
        assert self._shared is not None
        stored, used = super().parameters()
        shared = count_values(self._shared)
        return stored + shared, used + shared

    def _new_shared(self) -> Backbone:
        """G as it starts: a copy of P."""
        return trainable(self.features.backbone)

    @abstractmethod
    def _first_part(self, generator: torch.Generator) -> nn.Module:
        """S_0 as it starts."""

    def _base_network(self, generator: torch.Generator) -> nn.Module:
        """S_0 on G; both are trained."""
        return nn.Sequential(self._new_shared(), self._first_part(generator).to(self.features.device))

    def _freeze_base(self, network: nn.Module) -> None:
        assert isinstance(network, nn.Sequential)
        shared, part = network
        assert isinstance(shared, Backbone)
        self._shared = frozen(shared)
        self._shared_digest = weights_digest(shared)
        self._keep(part)

    def _empty_part(self) -> nn.Module:
        return self.features.backbone.new_part()

    def _reads(self, positions: tuple[int, ...]) -> Rows:
        """G(x): rows of `[tokens, dim]`, in 16 bits."""
        assert self._shared is not None
        return self.features.tokens(self._shared_digest, positions, self._shared)

    def _below(self) -> str:
        return f"{self._shared_digest} {np.dtype(features.TOKENS)}"
