"""Base of methods that score by linear discriminant analysis of the pooled embedding, or of fixed features of it.

score = log of the mean over members of softmax(x^T Sigma^-1 mu_c - mu_c^T Sigma^-1 mu_c / 2)       x = phi(e(x))

With one member the logarithm of the softmax is left out: it changes no order.
"""

import math
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.analytic.discriminant import Discriminant, Target
from trainables.learners.closed_form import ClosedForm
from trainables.learners.features import Features
from trainables.learners.settings import Settings
from trainables.networks.classifier import count_values
from trainables.store.state import State


class DiscriminantSettings(Settings):
    """Settings of a method that shrinks a covariance."""

    shrinkage: float | None = Field(
        None, gt=0, le=1, description="s in (1 - s) Sigma + s t I; null: chosen by leave-one-out"
    )
    target: Target = Field("variance", description="t: the mean variance, or 1 (identity)")


class DiscriminantLearner(ClosedForm):
    """Trains nothing; stores counts, means and the scatter within classes.

    Attributes:
        members: statistics and classifier of each member.
        fixed: for each member the tensors of its phi.
    """

    heads = ("discriminant",)
    forgets = True

    def __init__(self, settings: Any, features: Features) -> None:
        super().__init__(settings, features)
        self.members: list[Discriminant] = []
        self.fixed: list[dict[str, Tensor]] = []

    def draw(self, embeddings: Tensor, generator: torch.Generator) -> list[dict[str, Tensor]]:
        """For each member the tensors of its phi, from the embeddings of the first session, `[clips, dim]`."""
        return [{}]

    def expand(self, embeddings: Tensor, member: int) -> Tensor:
        """phi of a member: `[clips, dim]` to `[clips, M]`."""
        return embeddings

    def learn(self, session: Session, generator: torch.Generator) -> None:
        device = self.features.device
        embeddings = self.features.pooled(session.support)
        if not self.members:
            drawn = self.draw(embeddings, generator)
            self.fixed = [{name: tensor.to(device) for name, tensor in tensors.items()} for tensors in drawn]
            dims = [self.expand(embeddings[:1], member).shape[1] for member in range(len(self.fixed))]
            self.members = [Discriminant(dim, device) for dim in dims]
        labels = torch.tensor(session.support_labels, device=device)
        for index, member in enumerate(self.members):
            for label in session.labels:
                member.moments.add(label, self.expand(embeddings[labels == label], index))
        self.classes += session.labels
        self._solve()

    def forget(self, clips: ClassClips) -> None:
        for index, member in enumerate(self.members):

            def embed(index: int = index) -> Tensor:
                return self.expand(self.features.pooled(clips.support), index)

            member.moments.remove(clips.label, embed)
        self.classes.remove(clips.label)
        self._solve()

    def _solve(self) -> None:
        for member in self.members:
            member.solve(self.settings.shrinkage, self.settings.target)

    def classify(self, embeddings: Tensor) -> dict[str, Tensor]:
        scores = [member.scores(self.expand(embeddings, index)) for index, member in enumerate(self.members)]
        if len(scores) == 1:
            return {"discriminant": scores[0].float()}
        posteriors = torch.stack(scores).log_softmax(dim=2).logsumexp(dim=0) - math.log(len(scores))
        return {"discriminant": posteriors.float()}

    def state(self) -> State:
        parts: dict[str, dict[str, Tensor]] = {}
        for index, (member, fixed) in enumerate(zip(self.members, self.fixed, strict=True)):
            parts |= member.parts(f"member-{index}")
            if fixed:
                parts[f"fixed-{index}"] = fixed
        settled = frozenset(name for name in parts if name.startswith("fixed-"))
        return State(parts, {"classes": list(self.classes), "members": len(self.members)}, settled)

    def load(self, state: State) -> None:
        device = self.features.device
        self.classes = list(state.notes["classes"])
        self.members, self.fixed = [], []
        for index in range(state.notes["members"]):
            fixed = state.parts.get(f"fixed-{index}", {})
            self.fixed.append({name: tensor.to(device) for name, tensor in fixed.items()})
            dim = state.parts[f"member-{index}-moments"]["means"].shape[1]
            member = Discriminant(dim, device)
            member.load(state.parts, f"member-{index}")
            self.members.append(member)

    def parameter_counts(self) -> tuple[int, int]:
        fixed = sum(tensor.numel() for tensors in self.fixed for tensor in tensors.values())
        counts = [member.count_values() for member in self.members]
        both = count_values(self.features.backbone) + fixed
        return both + sum(stored for stored, _ in counts), both + sum(used for _, used in counts)
