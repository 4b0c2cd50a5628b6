"""iCaRL: incremental classifier and representation learning (Rebuffi et al. 2017, arXiv 1611.07725).

    loss     CE(z, y) + KD_T(z[old], teacher[old])        on new support and exemplars; algorithm 3
    memory   herding on phi(x) = mean LN(x), L2-normalised                              algorithm 4
    score    - || phi(x) - mu_c ||, mu_c the mean of the exemplars of c                 algorithm 1

The teacher is the network before the session.

Different from the paper, as in PyCIL and LAMDA-PILOT: softmax cross-entropy and distillation at T = 2 in place of one
sigmoid per class. Different from all of these: a fixed number of exemplars per class, never reduced later (the paper
distributes 2000 over the classes). With one exemplar of a class, mu_c is the embedding of that clip.
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
from trainables.store.state import State


class ICaRLSettings(Training):
    """Settings of iCaRL; LAMDA-PILOT's for a ViT, whose 20 epochs end before the first milestones (60 and 80).

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

    Exemplars are chosen once, from the support; their means are computed again after every session.

    Attributes:
        exemplars: of all classes seen so far.
        exemplar_means: `[classes, dim]`, L2-normalised.
    """

    name = "icarl"
    version = 1
    summary = "distillation and rehearsal, herded exemplars, nearest mean of exemplars"
    paper = "Rebuffi et al. 2017, arXiv 1611.07725"
    Settings = ICaRLSettings
    heads = ("nme", "linear")

    def __init__(self, settings: ICaRLSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.exemplars = Exemplars()
        self.exemplar_means = torch.empty(0)

    @classmethod
    def needs(cls, settings: ICaRLSettings) -> Needs:
        return Needs(exemplars=settings.exemplars_per_class)

    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        self._update_exemplars(session)

    def retrained(self, session: Session, known: int, generator: torch.Generator) -> Classifier:
        """Cross-entropy over all classes, and distillation of the old logits from before the session."""
        groups, labels = self.exemplars.with_support(session)
        inputs = self.features.inputs_of_groups(groups)
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
                "nme": distance_scores(nn.functional.normalize(embeddings, dim=1), self.exemplar_means),
                "linear": self.network.head(embeddings),
            }

    def state(self) -> State:
        state = super().state()
        state.parts["means"] = {"exemplar_means": self.exemplar_means}
        state.notes["exemplars"] = self.exemplars.notes()
        return state

    def load(self, state: State) -> None:
        super().load(state)
        self.exemplars = Exemplars.from_notes(state.notes["exemplars"])
        self.exemplar_means = state.parts["means"]["exemplar_means"].to(self.features.device)

    def parameter_counts(self) -> tuple[int, int]:
        stored, used = super().parameter_counts()
        return stored + self.exemplar_means.numel(), used + self.exemplar_means.numel()

    def _teacher_logits(self, groups: list[tuple[int, ...]]) -> Tensor:
        """Logits of the training clips before the session: `[clips, old classes]`."""
        embeddings = torch.cat([self.features.embed(self.network.embed, group) for group in groups])
        with torch.no_grad():
            logits: Tensor = self.network.head(embeddings)
        return logits

    def _update_exemplars(self, session: Session) -> None:
        """Herds exemplars of the new classes, and computes the exemplar means of all classes with the new network."""
        embed = self.network.embed
        support = self.features.embed(embed, session.support)
        self.exemplars.add_from_support(session, support, self.settings.exemplars_per_class)
        embeddings = torch.cat([self.features.embed(embed, group) for group in self.exemplars.groups])
        self.exemplar_means = self.exemplars.means(embeddings, self.classes)
