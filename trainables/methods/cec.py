"""CEC: continually evolved classifiers (Zhang et al., CVPR 2021, arXiv 2104.03047).

A network is trained on the base classes and frozen. Graph attention then adapts the prototypes of all classes to each
other and to the clip: nodes n = [p_1 .. p_C ; phi(x)],

    a_ij  = softmax_j((Q n_i) . (K n_j) / sqrt(dim))
    n'_i  = LN(n_i + F sum_j a_ij V n_j)
    score = temperature cos(phi(x)', p_c')

It is trained in the base session by pseudo-incremental episodes: real base classes, and as many synthetic ones that
follow them; prototypes from `shot` clips of each, cross-entropy on other clips over all of them. Later sessions train
nothing.

Different from the release (github icoz69/CEC-CVPR2021) and why:
- it creates classes by rotating images by 90, 180 or 270 degrees; a spectrogram rotated by 90 degrees has another
  shape, so here a synthetic class is flipped in time, in frequency, or both (180 degrees).
- it continues to train the network in the episodes (lr 2e-4); here the network is frozen before them, so each clip runs
  through it once per flip, not once per episode, and the prototypes are constant while the attention is trained.
- its dropout is off in training too (the model is in evaluation mode); here there is none.
- it selects the epoch that is best on the test clips of all sessions; here it is the last one. No Nesterov momentum.

Made for many base classes: here four matrices of dim x dim learn how classes relate from 5 classes of 5 clips, while
the published episodes draw 15 of 60 or more, and a flip changes a clip differently than another class does. Head
`prototype` omits the attention, for comparison.
"""

import math
from contextlib import nullcontext
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.features import BATCH
from trainables.learners.learner import Needs, column_labels
from trainables.learners.prototype_learner import CosineTraining, PrototypeLearner
from trainables.learners.training import Schedule, session_name, train
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.classifier import count_values, frozen
from trainables.networks.heads import cosine_scores
from trainables.store.state import State

FLIPS = ((), (1,), (2,), (1, 2))  # of a spectrogram's axes (1: time, 2: mel); the first is the clip itself


class CECSettings(CosineTraining):
    """Settings of CEC; the defaults are the published ones of CUB-200, except `base_lr` (see there)."""

    batch_size: int = Field(128, ge=1)
    base_lr: float = Field(
        5e-3, gt=0, description="published: 0.1, for a ResNet; this is FACT's for pretrained weights"
    )
    base_milestones: tuple[int, ...] = Field(
        (30, 40, 60, 80), description="epochs at which lr is multiplied by base_gamma"
    )
    base_gamma: float = Field(0.1, gt=0, le=1, description="factor of lr at each milestone")
    base_weight_decay: float = Field(5e-4, ge=0)
    base_attention_epochs: int = Field(100, ge=0)
    base_attention_lr: float = Field(2e-4, gt=0, description="halved after every fifth of the epochs")
    base_episodes: int = Field(50, ge=1, description="episodes of an epoch")
    base_episode_way: int = Field(15, ge=2, description="real classes of an episode; all if there are fewer")
    base_episode_shot: int = Field(1, ge=1, description="clips of a prototype in an episode")
    base_episode_query: int = Field(
        10, ge=1, description="other clips of a class in an episode; all if there are fewer"
    )

    def attention_schedule(self) -> Schedule:
        """Of the attention: SGD, one episode a step."""
        epochs = self.base_attention_epochs
        return replace(
            self.base_schedule(),
            epochs=epochs,
            batch_size=1,
            lr=self.base_attention_lr,
            milestones=tuple(max(1, epochs * fifth // 5) for fifth in range(1, 5)),
            gamma=0.5,
        )


class GraphAttention(nn.Module):
    """One head of attention over the prototypes and one clip, with residual and LayerNorm.

    Args:
        dim: width of a node.
        generator: draws the weights as the release does; None if they will be loaded.
    """

    def __init__(self, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.utils.skip_init(nn.Linear, dim, dim, bias=False) for _ in range(3))
        self.out = nn.utils.skip_init(nn.Linear, dim, dim)
        self.norm = nn.LayerNorm(dim)
        if generator is not None:
            for linear in (self.query, self.key, self.value, self.out):  # all are dim x dim: Xavier's std
                nn.init.normal_(linear.weight, std=math.sqrt(1.0 / dim), generator=generator)
            nn.init.zeros_(self.out.bias)

    def forward(self, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        """Cosine of each clip with each prototype, both adapted by attention in the clip's graph.

        Clips share the prototypes' projections: only attention weights have the size clips x classes x classes.

        Args:
            embeddings: `[clips, dim]`.
            prototypes: `[classes, dim]`.

        Returns:
            `[clips, classes]`.
        """
        clips, classes = len(embeddings), len(prototypes)
        nodes = torch.cat([prototypes, embeddings])
        scaled = self.query(nodes) / math.sqrt(nodes.shape[1])
        keys = self.key(nodes)
        passed = nn.functional.linear(self.value(nodes), self.out.weight)  # F sum a V n = sum a F V n
        affinity = scaled @ keys[:classes].T  # [classes + clips, classes]
        to_clip = scaled[:classes] @ keys[classes:].T  # [classes, clips]
        to_self = (scaled[classes:] * keys[classes:]).sum(dim=1, keepdim=True)  # [clips, 1]

        rows = torch.cat([affinity[:classes].expand(clips, -1, -1), to_clip.T[:, :, None]], dim=2).softmax(dim=2)
        received = rows[..., :classes] @ passed[:classes] + rows[..., classes:] * passed[classes:, None]
        adapted = self.norm(prototypes + received + self.out.bias)  # [clips, classes, dim]

        row = torch.cat([affinity[classes:], to_self], dim=1).softmax(dim=1)
        received = row[:, :classes] @ passed[:classes] + row[:, classes:] * passed[classes:]
        clip = self.norm(embeddings + received + self.out.bias)
        return nn.functional.cosine_similarity(clip[:, None], adapted, dim=2)


class CEC(PrototypeLearner):
    """Trains a copy of P with cross-entropy, freezes it, and trains attention over prototypes in episodes.

    Attributes:
        attention: frozen.
    """

    name = "cec"
    version = 1
    summary = "frozen after the base session; prototypes adapted to each other by graph attention"
    paper = "Zhang et al. 2021, arXiv 2104.03047"
    Settings = CECSettings
    published = {"base_lr": 0.1}
    heads = ("adapted", "prototype")
    uses = frozenset({"tune", "spectrogram"})

    attention: GraphAttention

    @classmethod
    def needs(cls, settings: CECSettings) -> Needs:
        return Needs(
            base_shots=settings.base_episode_shot + 1,
            why="an episode classifies clips that no prototype was computed from",
        )

    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        if session.index == 0:
            self.attention = self._train_attention(session, generator)

    def train_base(self, session: Session, generator: torch.Generator) -> Backbone:
        return self.train_cross_entropy(session, generator)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        embeddings = self.embed(positions)
        with torch.inference_mode():
            adapted = [self.attention(clips, self.prototypes) for clips in embeddings.split(BATCH)]
        return {
            "adapted": self.settings.temperature * torch.cat(adapted),
            "prototype": cosine_scores(embeddings, self.prototypes),
        }

    def state(self) -> State:
        state = super().state()
        state.parts["attention"] = dict(self.attention.state_dict())
        state.settled |= {"attention"}
        return state

    def load(self, state: State) -> None:
        super().load(state)
        attention = GraphAttention(self.network.dim)
        attention.load_state_dict(state.parts["attention"])
        self.attention = frozen(attention.to(self.features.device))

    def parameter_counts(self) -> tuple[int, int]:
        stored, used = super().parameter_counts()
        count = count_values(self.attention)
        return stored + count, used + count

    def _train_attention(self, session: Session, generator: torch.Generator) -> GraphAttention:
        settings, device = self.settings, self.features.device
        attention = GraphAttention(self.network.dim, generator).to(device)
        embedded = torch.stack([self.embed(session.support, flip) for flip in FLIPS])
        columns = column_labels(session.support_labels, self.classes)

        def loss(batch: Tensor) -> Tensor:
            shots, queries, targets = episode(
                columns, settings.base_episode_way, settings.base_episode_shot, settings.base_episode_query, generator
            )
            prototypes = embedded[shots[..., 0].to(device), shots[..., 1].to(device)].mean(dim=1)
            clips = embedded[queries[:, 0].to(device), queries[:, 1].to(device)]
            logits = settings.temperature * attention(clips, prototypes)
            return nn.functional.cross_entropy(logits, targets.to(device))

        train(
            loss,
            [attention],
            settings.attention_schedule(),
            clips=settings.base_episodes,
            generator=generator,
            autocast=nullcontext,  # small, and a head: float32
            where=f"{session_name(session)}, episodes",
        )
        return frozen(attention)


def episode(
    columns: Tensor, way: int, shot: int, query: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draws a pseudo-incremental episode: real classes, then each of them, flipped one way, as a synthetic class.

    Args:
        columns: the class of every base clip, from 0 on, `[clips]`.
        way: real classes; all if there are fewer.
        shot: clips of a prototype.
        query: other clips of a class; as many as the smallest class has left, if fewer.
        generator: the source of randomness.

    Returns:
        The clips of each prototype, `[2 way, shot, 2]`; the clips to be classified, `[2 way query, 2]`; and their
        prototypes, `[2 way query]`. A clip is (its flip, its row).
    """
    chosen = torch.randperm(int(columns.max()) + 1, generator=generator)[:way]
    members = [torch.nonzero(columns == column).flatten() for column in chosen.tolist()]
    query = min(query, min(map(len, members)) - shot)
    drawn = torch.stack([rows[torch.randperm(len(rows), generator=generator)[: shot + query]] for rows in members])
    flips = torch.randint(1, len(FLIPS), (len(chosen), 1), generator=generator)
    real = torch.stack([torch.zeros_like(drawn), drawn], dim=2)
    synthetic = torch.stack([flips.expand_as(drawn), drawn], dim=2)
    clips = torch.cat([real, synthetic])
    targets = torch.arange(len(clips)).repeat_interleave(query)
    return clips[:, :shot], clips[:, shot:].flatten(0, 1), targets
