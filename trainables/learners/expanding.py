"""What EDE, DER and MEMO have in common: settings, incremental training, scores and state.

e(x)   = [ S_0 ; ... ; S_t ]              a stack of frozen parts, one per session
linear = linear head over e(x), over all classes seen so far
nme    = - || e(x) / |e(x)| - mu_c ||     mu_c the exemplar mean of class c

How they learn the base session, and what follows the training, is in their files.
"""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.exemplars import Exemplars
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import Learner, Needs, column_labels
from trainables.learners.part_stack import PartStack
from trainables.learners.training import Training, session_name, train
from trainables.networks.classifier import count_values, frozen, restored_linear, trainable
from trainables.networks.heads import distance_scores, linear_head
from trainables.store.state import State


class ExpandingTraining(Training):
    """Settings of a method whose network grows."""

    exemplars_per_class: int = Field(1, ge=1, description="clips of an old class that are rehearsed")
    incremental_alpha_aux: float = Field(1.0, ge=0, description="weight of the auxiliary loss")


class ExpandingLearner(Learner):
    """A stack of parts, a linear head over it, and exemplars. `learn` is left to the method.

    Args:
        settings: validated.
        features: of the clips.
        stack: without parts.

    Attributes:
        stack: the parts of the sessions so far.
        head: over the stack's output, frozen.
        exemplars: of all classes seen so far.
        exemplar_means: `[classes, dim (t + 1)]`, L2-normalised.
    """

    head: nn.Linear

    def __init__(self, settings: Any, features: Features, stack: PartStack) -> None:
        super().__init__(settings, features)
        self.stack = stack
        self.exemplars = Exemplars()
        self.exemplar_means = torch.empty(0)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        return Needs(exemplars=settings.exemplars_per_class)

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.inputs_request(positions)] if self.stack.reads_inputs else []

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        embeddings = self.stack.embed(positions)
        with torch.inference_mode():
            return {
                "linear": self.head(embeddings),
                "nme": distance_scores(nn.functional.normalize(embeddings, dim=1), self.exemplar_means),
            }

    def state(self) -> State:
        stack = self.stack.state()
        parts = {"head": dict(self.head.state_dict()), "means": {"exemplar_means": self.exemplar_means}}
        notes = {"classes": list(self.classes), "exemplars": self.exemplars.notes()}
        return State({**stack.parts, **parts}, {**stack.notes, **notes}, stack.settled)

    def load(self, state: State) -> None:
        device = self.features.device
        self.stack.load(state)
        self.classes = list(state.notes["classes"])
        self.exemplars = Exemplars.from_notes(state.notes["exemplars"])
        self.head = frozen(restored_linear(state.parts["head"], device))
        self.exemplar_means = state.parts["means"]["exemplar_means"].to(device)

    def parameter_counts(self) -> tuple[int, int]:
        count = self.stack.count_values() + count_values(self.head) + self.exemplar_means.numel()
        return count, count

    def learn_increment(self, session: Session, generator: torch.Generator) -> None:
        """Draws the heads of an incremental session, and trains."""
        dim = self.features.backbone.dim
        head = linear_head(dim * (len(self.stack.parts) + 1), len(self.classes), generator, grown_from=self.head)
        auxiliary = linear_head(dim, len(session.classes) + 1, generator)
        self.train_increment(session, head, auxiliary, generator)

    def train_increment(
        self,
        session: Session,
        head: nn.Linear,
        auxiliary: nn.Linear,
        generator: torch.Generator,
        orders: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Trains S_t, a copy of S_{t-1}, and the heads on the new support and the exemplars; appends S_t to the stack.

            L = CE(head(e(x)), y) + alpha_aux CE(auxiliary(S_t), max(0, y - known + 1)),    y = 0, 1, .. in class order

        The frozen parts are computed once per clip, S_t in every epoch.

        Args:
            session: whose labels are in `classes` already.
            head: over e(x), `[dim (t + 1)]` to all classes so far, before training; it becomes `self.head`.
            auxiliary: `[dim]` to the new classes and one for all old ones, before training; not kept.
            generator: shuffles.
            orders: row numbers of the clips (support, then exemplars) in the order of each epoch (default: shuffled).

        Raises:
            EarshotError: the loss is not finite.
        """
        features, settings, device = self.features, self.settings, self.features.device
        groups, labels = self.exemplars.with_support(session)
        inputs = self.stack.inputs(groups)
        old = self.stack.embed_groups(groups)
        targets = column_labels(labels, self.classes).to(device)
        known = len(self.classes) - len(session.classes)
        auxiliary_targets = (targets - known + 1).clamp_min(0)
        part, head, auxiliary = trainable(self.stack.parts[-1]), head.to(device), auxiliary.to(device)

        def loss(batch: Tensor) -> Tensor:
            new = part(inputs[batch])
            linear_loss = nn.functional.cross_entropy(head(torch.cat([old[batch], new], dim=1)), targets[batch])
            auxiliary_loss = nn.functional.cross_entropy(auxiliary(new), auxiliary_targets[batch])
            return linear_loss + settings.incremental_alpha_aux * auxiliary_loss

        train(
            loss,
            [part, head, auxiliary],
            settings.incremental_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=features.autocast,
            where=session_name(session),
            orders=orders,
        )
        self.stack.append(part)
        self.head = frozen(head)

    def update_exemplar_means(self) -> None:
        """Computes the exemplar means of all classes from the embeddings of the current stack."""
        self.exemplar_means = self.exemplars.means(self.stack.embed_groups(self.exemplars.groups), self.classes)
