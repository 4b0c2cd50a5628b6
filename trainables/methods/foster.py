"""FOSTER: feature boosting and compression (Wang et al. ECCV 2022, arXiv 2204.04662).

A session has two stages; between sessions there is one network, F with its linear head, of the size of P.

Boosting. A new branch B, a copy of F, fits the residual of F, as in gradient boosting; F is frozen:

    z  = W [ F(x) ; B(x) ] + b        the expanded network; W's block of old features and classes starts as F's head
    L  = CE(z / w(beta1), y)          logits alignment, w below
       + CE(V B(x), y)                feature enhancement: the branch alone classifies all classes
       + lambda_okd KD_T(z[old], F's logits)

Compression. A student, a copy of F with a grown head, learns the expanded network's z by balanced distillation:

    L  = - sum_c q_c log softmax(student / T)_c,    q_c ~ w_c(beta2) softmax(z / T)_c

The weight of a class with n_c training clips, K classes, comes from their effective number (Cui et al. 2019,
arXiv 1901.05555, proposition 1):

    w_c = K (1 / E_c) / sum_k (1 / E_k),    E_c = (1 - beta^n_c) / (1 - beta)

so old classes, with few exemplars, must reach larger logits in the first stage and weigh more in the second. The
student is the network of the next session; the expanded one is discarded.

The default numbers of epochs were chosen for classes of hundreds of clips; with 5 shots an epoch is one or two steps,
and the student, whose head is random for new classes, sees no label: it may stay far behind the expanded network.

F and, in the second stage, z are fixed on the training clips: they are computed once, not in the loop.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.exemplars import Exemplars
from trainables.learners.features import Features
from trainables.learners.fine_tuned import FineTuned
from trainables.learners.learner import Needs, column_labels
from trainables.learners.settings import Settings
from trainables.learners.training import Schedule, session_name, train
from trainables.networks.classifier import Classifier, frozen, trainable
from trainables.networks.heads import distillation, linear_head
from trainables.store.arrays import Rows
from trainables.store.state import State


class FOSTERSettings(Settings):
    """Settings of FOSTER; the defaults are those of LAMDA-PILOT for a pretrained transformer."""

    batch_size: int = Field(32, ge=1)
    exemplars_per_class: int = Field(1, ge=1, description="clips of an old class that are rehearsed")
    base_epochs: int = Field(20, ge=0, description="PyCIL trains a ResNet from scratch for 200")
    base_lr: float = Field(1e-3, gt=0, description="initial lr of a cosine down to 0")
    base_weight_decay: float = Field(5e-4, ge=0)
    incremental_boosting_epochs: int = Field(20, ge=0, description="PyCIL trains a ResNet for 170")
    incremental_compression_epochs: int = Field(20, ge=0, description="PyCIL trains a ResNet for 130")
    incremental_lr: float = Field(1e-3, gt=0, description="initial lr of the cosine of either stage")
    incremental_weight_decay: float = Field(5e-4, ge=0, description="of boosting; compression has none")
    incremental_beta1: float = Field(0.96, ge=0, lt=1, description="of the effective numbers in boosting")
    incremental_beta2: float = Field(0.97, ge=0, lt=1, description="of the effective numbers in compression")
    incremental_lambda_okd: float = Field(1.0, ge=0, description="weight of the distillation from the old logits")
    incremental_temperature: float = Field(2.0, gt=0, description="T of both distillations")

    def base_schedule(self) -> Schedule:
        """Of the base session."""
        return self._cosine(self.base_epochs, self.base_lr, self.base_weight_decay)

    def boosting_schedule(self) -> Schedule:
        """Of the branch."""
        return self._cosine(self.incremental_boosting_epochs, self.incremental_lr, self.incremental_weight_decay)

    def compression_schedule(self) -> Schedule:
        """Of the student."""
        return self._cosine(self.incremental_compression_epochs, self.incremental_lr, 0.0)

    def _cosine(self, epochs: int, lr: float, weight_decay: float) -> Schedule:
        return Schedule(epochs, self.batch_size, lr, weight_decay, annealing="cosine")


class FOSTER(FineTuned):
    """Expands by a branch, compresses into one backbone.

    The only head is the compressed network's, which the paper calls FOSTER. Scores of the expanded network (its
    FOSTER B4, which PyCIL reports) would require two more backbones stored with every session, which the method is
    meant to avoid. As in the released code, exemplars are herded in the expanded network's features. Two options of
    that code are left out: weight align of either network, and zeros for the weights of new classes on old features.

    Attributes:
        exemplars: of all classes seen so far.
    """

    name = "foster"
    version = 1
    summary = "a boosting branch a session, compressed into one backbone by balanced distillation"
    paper = "Wang et al. ECCV 2022, arXiv 2204.04662"
    Settings = FOSTERSettings
    heads = ("linear",)

    def __init__(self, settings: FOSTERSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.exemplars = Exemplars()

    @classmethod
    def needs(cls, settings: FOSTERSettings) -> Needs:
        return Needs(exemplars=settings.exemplars_per_class)

    def retrained(self, session: Session, known: int, generator: torch.Generator) -> Classifier:
        return self._learn_increment(session, generator) if known else self._learn_base(session, generator)

    def state(self) -> State:
        state = super().state()
        state.notes["exemplars"] = self.exemplars.notes()
        return state

    def load(self, state: State) -> None:
        super().load(state)
        self.exemplars = Exemplars.from_notes(state.notes["exemplars"])

    def _learn_base(self, session: Session, generator: torch.Generator) -> Classifier:
        """Trains a copy of P and the head with cross-entropy."""
        network = Classifier(self.features.backbone, len(self.classes), generator)
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(self.features.device)

        def loss(batch: Tensor) -> Tensor:
            return nn.functional.cross_entropy(network(inputs[batch]), targets[batch])

        self.fit(network, loss, self.settings.base_schedule(), session, len(targets), generator)
        support = self.features.embed(network.embed, session.support)
        self.exemplars.add_from_support(session, support, self.settings.exemplars_per_class)
        return network

    def _learn_increment(self, session: Session, generator: torch.Generator) -> Classifier:
        """Boosting, then compression; exemplars are chosen by the features of the expanded network."""
        groups, labels = self.exemplars.with_support(session)
        inputs = self.features.inputs_of_groups(groups)
        targets = column_labels(labels, self.classes).to(self.features.device)
        counts = torch.bincount(targets.cpu(), minlength=len(self.classes))
        old = torch.cat([self.features.embed(self.network.embed, group) for group in groups])

        where = session_name(session)
        branch, expanded = self.boost(inputs, targets, counts, old, generator, f"{where}, boosting")
        new = torch.cat([self.features.embed(branch.embed, group) for group in groups])
        features = torch.cat([old, new], dim=1)
        teacher = expanded(features)
        student = self.compress(inputs, teacher, counts, generator, f"{where}, compression")
        support = features[: len(session.support)]
        self.exemplars.add_from_support(session, support, self.settings.exemplars_per_class)
        return student

    def boost(
        self,
        inputs: Rows,
        targets: Tensor,
        counts: Tensor,
        old: Tensor,
        generator: torch.Generator,
        where: str,
    ) -> tuple[Classifier, nn.Linear]:
        """Trains the branch and the head of the expanded network.

        Args:
            inputs: spectrograms of the training clips.
            targets: their columns.
            counts: training clips of each class.
            old: `[clips, dim]`, F(x).
            generator: draws new weights, shuffles.
            where: session and stage, for errors.

        Returns:
            The branch, with the head of the feature enhancement, and the head over `[F(x) ; B(x)]`.
        """
        settings, device, known = self.settings, self.features.device, self.network.head.out_features
        branch = trainable(self.network)
        branch.head = linear_head(branch.backbone.dim, len(counts), generator).to(device)
        expanded = linear_head(2 * branch.backbone.dim, len(counts), generator, self.network.head).to(device)
        weights = class_weights(counts, settings.incremental_beta1).to(device)
        old_logits = self.network.head(old)

        def loss(batch: Tensor) -> Tensor:
            new = branch.embed(inputs[batch])
            logits = expanded(torch.cat([old[batch], new], dim=1))
            aligned = nn.functional.cross_entropy(logits / weights, targets[batch])
            enhanced = nn.functional.cross_entropy(branch.head(new), targets[batch])
            distilled = distillation(logits[:, :known], old_logits[batch], settings.incremental_temperature)
            return aligned + enhanced + settings.incremental_lambda_okd * distilled

        train(
            loss,
            [branch, expanded],
            settings.boosting_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where=where,
        )
        return frozen(branch), frozen(expanded)

    def compress(
        self, inputs: Rows, teacher: Tensor, counts: Tensor, generator: torch.Generator, where: str
    ) -> Classifier:
        """Trains the student: a copy of F with a grown head.

        Args:
            inputs: spectrograms of the training clips.
            teacher: `[clips, classes]`, logits of the expanded network.
            counts: training clips of each class.
            generator: draws new weights, shuffles.
            where: session and stage, for errors.
        """
        settings = self.settings
        student = trainable(self.network)
        student.grow(len(counts), generator)
        weights = class_weights(counts, settings.incremental_beta2).to(teacher.device)
        temperature = settings.incremental_temperature
        balanced = teacher + temperature * weights.log()  # softmax(balanced / T) ~ weights * softmax(teacher / T)

        def loss(batch: Tensor) -> Tensor:
            return distillation(student(inputs[batch]), balanced[batch], temperature)

        train(
            loss,
            [student],
            settings.compression_schedule(),
            clips=len(teacher),
            generator=generator,
            autocast=self.features.autocast,
            where=where,
        )
        return student


def class_weights(counts: Tensor, beta: float) -> Tensor:
    """Weights by effective number of samples: w_c = K (1 / E_c) / sum_k (1 / E_k), E = (1 - beta^n) / (1 - beta).

    Args:
        counts: `[classes]`, clips of each class.
        beta: 0 weighs all classes alike, 1 (in the limit) by 1 / n.

    Returns:
        `[classes]`, float32; their mean is 1.
    """
    inverse = (1 - beta) / (1 - beta ** counts.double())
    return (len(counts) * inverse / inverse.sum()).float()
