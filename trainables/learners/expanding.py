"""What EDE, DER and MEMO have in common between sessions: settings, scores and state. How they learn is in their files.

e(x)   = [ S_0 ; ... ; S_t ]              a stack of frozen parts, one per session
linear = linear head over e(x), over all classes seen so far
nme    = - || e(x) / |e(x)| - mu_c ||     mu_c the exemplar mean of class c
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.learners.exemplars import Exemplars
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import Learner, Needs
from trainables.learners.part_stack import PartStack
from trainables.learners.training import Training
from trainables.networks.classifier import count_values, frozen, restored_linear
from trainables.networks.heads import distance_scores
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

    def update_exemplar_means(self) -> None:
        """Computes the exemplar means of all classes from the embeddings of the current stack."""
        self.exemplar_means = self.exemplars.means(self.stack.embed_groups(self.exemplars.groups), self.classes)
