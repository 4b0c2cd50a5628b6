"""Base of the methods that keep one network, a copy of P with a linear head, and train all of it in every session."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from datasets.benchmark.protocol import Session
from trainables.learners.features import FeatureRequest
from trainables.learners.learner import Learner
from trainables.learners.training import Schedule, session_name, train
from trainables.networks.classifier import Classifier, count_values, frozen, restored_classifier
from trainables.store.state import State


class FineTuned(Learner):
    """One network that every session changes.

    Attributes:
        network: after the last session, frozen.
    """

    uses = frozenset({"tune"})

    network: Classifier

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.inputs_request(positions)]  # the networks of all sessions read them

    def learn(self, session: Session, generator: torch.Generator) -> None:
        known = len(self.classes)
        self.classes += session.labels
        self.network = frozen(self.retrained(session, known, generator))

    @abstractmethod
    def retrained(self, session: Session, known: int, generator: torch.Generator) -> Classifier:
        """The network after a session: a new one, or a trained copy of the previous one.

        Args:
            session: the new classes, already the last ones of `self.classes`.
            known: number of old classes.
            generator: the source of randomness.
        """

    def fit(
        self,
        network: Classifier,
        loss: Callable[[Tensor], Tensor],
        schedule: Schedule,
        session: Session,
        clips: int,
        generator: torch.Generator,
    ) -> None:
        """Trains the whole network in place; the arguments are those of `train`."""
        train(
            loss,
            [network],
            schedule,
            clips=clips,
            generator=generator,
            autocast=self.features.autocast,
            where=session_name(session),
        )

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        embeddings = self.features.embed(self.network.embed, positions)
        with torch.inference_mode():
            return {"linear": self.network.head(embeddings)}

    def state(self) -> State:
        return State({"network": dict(self.network.state_dict())}, {"classes": list(self.classes)})

    def load(self, state: State) -> None:
        self.classes = list(state.notes["classes"])
        self.network = frozen(restored_classifier(self.features.backbone, state.parts["network"]))

    def parameter_counts(self) -> tuple[int, int]:
        count = count_values(self.network)
        return count, count
