"""Joint training: every session starts from P and trains on the support of all sessions.

    session t    CE over all logits on support_0, ..., support_t, from a copy of P and a new head

Papers give it as the upper bound. It is one for methods that train the same network on the same clips; with few clips a
frozen embedding may exceed it.

It stores every support clip, so the protocol's limit on exemplars does not apply: `needs().exemplars` is 0 although it
rehearses everything, and it runs under a protocol that forbids exemplars.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.learners.fine_tuned import FineTuned
from trainables.learners.learner import Needs, column_labels
from trainables.learners.settings import Settings
from trainables.learners.training import Schedule
from trainables.networks.classifier import Classifier
from trainables.store.state import State


class JointSettings(Settings):
    """Settings of joint training: those of the base session of `finetune`, for every session.

    No name starts with `base_` or `incremental_`, because every session reads all of them.
    """

    batch_size: int = Field(25, ge=1)
    epochs: int = Field(80, ge=0)
    lr: float = Field(1e-3, gt=0, description="as finetune's base_lr")
    milestones: tuple[int, ...] = Field((40, 70), description="epochs at which lr falls to a tenth")
    weight_decay: float = Field(5e-4, ge=0)

    def schedule(self) -> Schedule:
        """Of every session: SGD with milestones."""
        return Schedule(
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            weight_decay=self.weight_decay,
            milestones=self.milestones,
        )


class Joint(FineTuned):
    """A network trained on all support clips at once, independent of the training of earlier sessions."""

    name = "joint"
    version = 1
    summary = "retrained from the start on all support clips so far: an upper reference"
    paper = "-"
    Settings = JointSettings
    heads = ("linear",)

    @classmethod
    def needs(cls, settings: JointSettings) -> Needs:
        return Needs(everything=True)

    def __init__(self, settings: JointSettings, features: Features) -> None:
        super().__init__(settings, features)
        self._groups: list[tuple[int, ...]] = []  # support clips, session by session
        self._labels: list[int] = []  # of all of them

    def retrained(self, session: Session, known: int, generator: torch.Generator) -> Classifier:
        self._groups.append(session.support)
        self._labels += session.support_labels
        network = Classifier(self.features.backbone, len(self.classes), generator)
        inputs = self.features.inputs_of_groups(self._groups)
        targets = column_labels(self._labels, self.classes).to(self.features.device)

        def loss(batch: Tensor) -> Tensor:
            return nn.functional.cross_entropy(network(inputs[batch]), targets[batch])

        self.fit(network, loss, self.settings.schedule(), session, len(targets), generator)
        return network

    def state(self) -> State:
        state = super().state()
        state.notes |= {"groups": list(self._groups), "labels": list(self._labels)}
        return state

    def load(self, state: State) -> None:
        super().load(state)
        self._groups = [tuple(group) for group in state.notes["groups"]]
        self._labels = list(state.notes["labels"])
