"""EDE as the released code computes it, written plainly: what `benchmarks.ede_chain` compares ours with.

Nothing is kept from one pass over clips to the next, as in the release and in PyCIL, on which it is based:

    training   every batch runs the front end, G and all parts S_0 .. S_t
    test       every fifth epoch, on the test clips of all classes so far
    herding    the whole train pool of every new class
    scores     a pass over the test clips for each head, P for the prototypes only
    session    one more copy of the whole network, which is never used

Decoded clips are kept in memory, which the release does not do.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.exemplars import herd
from trainables.learners.features import BATCH, Clips
from trainables.learners.learner import column_labels
from trainables.networks.backbones.backbone import SpecialisedPart, TokenBackbone
from trainables.networks.classifier import frozen, trainable
from trainables.networks.heads import class_means, cosine_scores, distance_scores

TEST_EVERY = 5  # epochs
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 1e-3, 0.9, 2e-4


class ReleasedEDE:
    """A chain with one exemplar a class, constant learning rate and given draws.

    Args:
        backbone: P.
        clips: the waveforms.
    """

    def __init__(self, backbone: TokenBackbone, clips: Clips) -> None:
        self._clips = clips
        self._pretrained = backbone
        self._shared = trainable(backbone)
        self._parts: list[SpecialisedPart] = []
        self._unused: list[nn.Module] = []
        self._head: nn.Linear
        self._exemplars: list[int] = []
        self._exemplar_labels: list[int] = []
        self._classes: tuple[int, ...] = ()
        self._test: tuple[int, ...] = ()
        self._test_labels: tuple[int, ...] = ()
        self._prototypes = self._exemplar_means = torch.empty(0)

    def learn(
        self,
        session: Session,
        orders: Sequence[Sequence[Sequence[int]]],
        head: nn.Linear,
        auxiliary: nn.Linear | None,
        first_part: SpecialisedPart,
    ) -> dict[str, Tensor]:
        """Learns a session and scores the test clips of all classes so far.

        Args:
            session: its clips.
            orders: of each epoch, the positions of the clips of each batch.
            head: over the output of all parts, before training.
            auxiliary: head of the new part, before training; None in the base session.
            first_part: S_0 before training; later parts are copies of the last one.

        Returns:
            Scores by head, `[clips, classes]`, of the test clips class by class.
        """
        known = len(self._classes)
        self._classes += session.labels
        self._test += tuple(position for clips in session.classes for position in clips.query)
        self._test_labels += tuple(clips.label for clips in session.classes for _ in clips.query)
        train_clips = (*session.support, *self._exemplars)
        train_labels = [*session.support_labels, *self._exemplar_labels]
        self._parts.append(trainable(self._parts[-1]) if self._parts else first_part)
        self._unused.append(trainable(self._pretrained))
        self._head = head
        self._train(orders, dict(zip(train_clips, train_labels, strict=True)), auxiliary, known)
        self._prototypes = class_means(self._dual(train_clips), train_labels, self._classes)
        self._herd(session)
        return {
            "prototype": cosine_scores(self._dual(self._test), self._prototypes),
            "linear": self._logits(self._test),
            "nme": distance_scores(nn.functional.normalize(self._embed(self._test), dim=1), self._exemplar_means),
        }

    @property
    def exemplars(self) -> list[int]:
        """Positions of the exemplars of all classes so far."""
        return list(self._exemplars)

    def _train(
        self,
        orders: Sequence[Sequence[Sequence[int]]],
        labels: dict[int, int],
        auxiliary: nn.Linear | None,
        known: int,
    ) -> None:
        modules = [self._parts[-1], self._head, *([auxiliary] if auxiliary else [self._shared])]
        parameters = [p for module in modules for p in module.train().requires_grad_(True).parameters()]
        optimiser = torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
        for epoch, batches in enumerate(orders):
            for batch in batches:
                targets = column_labels([labels[position] for position in batch], self._classes)
                outputs = self._outputs(self._inputs(batch))
                loss = nn.functional.cross_entropy(self._head(torch.cat(outputs, dim=1)), targets)
                if auxiliary is not None:
                    of_part = auxiliary(outputs[-1])
                    loss = loss + nn.functional.cross_entropy(of_part, (targets - known + 1).clamp_min(0))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            if epoch % TEST_EVERY == 0:
                predicted = self._logits(self._test).argmax(dim=1)
                (predicted == column_labels(self._test_labels, self._classes)).float().mean()
        for module in modules:
            frozen(module)

    def _herd(self, session: Session) -> None:
        for clips in session.classes:
            vectors = nn.functional.normalize(self._embed(clips.pool), dim=1)
            self._exemplars.append(clips.pool[herd(vectors, 1)[0]])
            self._exemplar_labels.append(clips.label)
        vectors = nn.functional.normalize(self._embed(self._exemplars), dim=1)
        means = class_means(vectors, self._exemplar_labels, self._classes)
        self._exemplar_means = nn.functional.normalize(means, dim=1)

    def _outputs(self, inputs: Tensor) -> list[Tensor]:
        """S_i(G(x)) of every part: `[clips, dim]` each."""
        tokens = self._shared(inputs)
        return [part(tokens) for part in self._parts]

    @torch.inference_mode()
    def _embed(self, positions: Sequence[int]) -> Tensor:
        """e(x): `[clips, dim (t + 1)]`."""
        return torch.cat([torch.cat(self._outputs(inputs), dim=1) for inputs in self._batches(positions)])

    @torch.inference_mode()
    def _dual(self, positions: Sequence[int]) -> Tensor:
        """d(x): `[clips, dim (t + 2)]`."""
        batches = [(self._pretrained.embed(x), *self._outputs(x)) for x in self._batches(positions)]
        return torch.cat([torch.cat(outputs, dim=1) for outputs in batches])

    @torch.inference_mode()
    def _logits(self, positions: Sequence[int]) -> Tensor:
        """Scores of the linear head: `[clips, classes]`."""
        logits: Tensor = self._head(self._embed(positions))
        return logits

    def _batches(self, positions: Sequence[int]) -> Iterator[Tensor]:
        for first in range(0, len(positions), BATCH):
            yield self._inputs(positions[first : first + BATCH])

    def _inputs(self, positions: Sequence[int]) -> Tensor:
        return self._pretrained.frontend(torch.from_numpy(self._clips.audio(positions)))
