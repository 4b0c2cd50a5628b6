"""iCaRL: incremental classifier and representation learning (Rebuffi et al. 2017, arXiv 1611.07725).

    loss     CE(z, y) + KD_T(z[old], teacher[old])        on new support and exemplars; algorithm 3
    memory   herding on phi(x) = mean LN(x), L2-normalised                              algorithm 4
    score    - || phi(x) - mu_c ||, mu_c the mean of the exemplars of c                 algorithm 1

The teacher is the network as it was before the session.

Different from the paper, as in PyCIL and LAMDA-PILOT: softmax cross-entropy and distillation at T = 2 in place of one
sigmoid per class. Different from all of these: a fixed number of exemplars of a class, never cut down later (the paper
shares 2000 among the classes). With one exemplar of a class, mu_c is that clip's own embedding.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.exemplars import Exemplars
from trainables.learners.features import Features
from trainables.learners.fine_tuned import FineTuned
from trainables.learners.learner import Needs, column_labels
from trainables.learners.training import Training
from trainables.networks.classifier import Classifier, trainable
from trainables.networks.heads import distance_scores, distillation
from trainables.store.arrays import ConcatRows
from trainables.store.state import State


class ICaRLSettings(Training):
    """Settings of iCaRL; LAMDA-PILOT's for a ViT, whose milestones (60 and 80 the first) 20 epochs never reach.

    Batches of 25 are those of the FFCAC releases; PILOT has 128, which with five shots would be one step an epoch.
    """

    exemplars_per_class: int = Field(1, ge=1, description="clips of an old class that are rehearsed")
    base_epochs: int = Field(20, ge=0, description="LAMDA-PILOT's for a ViT; PyCIL has 200 for a ResNet")
    base_milestones: tuple[int, ...] = Field((60, 120, 170), description="epochs at which lr falls to a tenth")
    base_weight_decay: float = Field(5e-4, ge=0)
    incremental_epochs: int = Field(20, ge=0, description="LAMDA-PILOT's for a ViT; PyCIL has 170 for a ResNet")
    incremental_milestones: tuple[int, ...] = Field((80, 120), description="epochs at which lr falls to a tenth")
    incremental_temperature: float = Field(2.0, gt=0, description="T of the distillation")


class ICaRL(FineTuned):
    """A copy of P with a linear head, trained on new support and exemplars; nearest mean of exemplars.

    Exemplars are chosen once, from the support; the means follow the network from session to session.
    """

    name = "icarl"
    version = 1
    summary = "distillation and rehearsal, herded exemplars, nearest mean of exemplars"
    paper = "Rebuffi et al. 2017, arXiv 1611.07725"
    Settings = ICaRLSettings
    heads = ("nme", "linear")

    def __init__(self, settings: ICaRLSettings, features: Features) -> None:
        super().__init__(settings, features)
        self._exemplars = Exemplars()
        self._exemplar_means = torch.empty(0)  # [classes, dim], L2-normalised

    @classmethod
    def needs(cls, settings: ICaRLSettings) -> Needs:
        return Needs(exemplars=settings.exemplars_per_class)

    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        self._remember(session)

    def retrained(self, session: Session, known: int, generator: torch.Generator) -> Classifier:
        """Cross-entropy over all classes, and the old logits held to what they were before the session."""
        groups = [session.support, *self._exemplars.groups]
        inputs = ConcatRows([self.features.inputs(group) for group in groups])
        labels = [*session.support_labels, *self._exemplars.labels]
        targets = column_labels(labels, self.classes).to(self.features.device)
        if known == 0:
            network = Classifier(self.features.backbone, len(self.classes), generator)
            teacher = torch.empty(0)
        else:
            network = trainable(self.network)
            teacher = self._teacher_logits(groups)
            network.grow(len(self.classes), generator)
        temperature = self.settings.incremental_temperature

        def loss(batch: Tensor) -> Tensor:
            logits = network(inputs[batch])
            total = nn.functional.cross_entropy(logits, targets[batch])
            return total + distillation(logits[:, :known], teacher[batch], temperature) if known else total

        schedule = self.settings.incremental_schedule() if known else self.settings.base_schedule()
        self.fit(network, loss, schedule, session, len(targets), generator)
        return network

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        embeddings = self.features.embed(self.network.embed, positions)
        with torch.inference_mode():
            return {
                "nme": distance_scores(nn.functional.normalize(embeddings, dim=1), self._exemplar_means),
                "linear": self.network.head(embeddings),
            }

    def state(self) -> State:
        state = super().state()
        state.parts["means"] = {"exemplar_means": self._exemplar_means}
        state.notes["exemplars"] = self._exemplars.notes()
        return state

    def load(self, state: State) -> None:
        super().load(state)
        self._exemplars = Exemplars.from_notes(state.notes["exemplars"])
        self._exemplar_means = state.parts["means"]["exemplar_means"].to(self.features.device)

    def parameters(self) -> tuple[int, int]:
        stored, used = super().parameters()
        return stored + self._exemplar_means.numel(), used + self._exemplar_means.numel()

    def _teacher_logits(self, groups: list[tuple[int, ...]]) -> Tensor:
        """What the network says of the training clips before it learns: `[clips, old classes]`."""
        embeddings = torch.cat([self.features.embed(self.network.embed, group) for group in groups])
        with torch.no_grad():
            logits: Tensor = self.network.head(embeddings)
        return logits

    def _remember(self, session: Session) -> None:
        """Herds the exemplars of the new classes, and computes the exemplar means of all with the new network."""
        embed = self.network.embed
        support = self.features.embed(embed, session.support)
        self._exemplars.remember_support(session, support, self.settings.exemplars_per_class)
        remembered = torch.cat([self.features.embed(embed, group) for group in self._exemplars.groups])
        self._exemplar_means = self._exemplars.means(remembered, self.classes)
