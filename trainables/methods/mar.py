"""MAR: embeddings of many blocks, fused by an MLP, and a ridge regression classifier.

Si et al. 2025, arXiv 2506.18406.

    m_l(x) = mean over tokens of LN(h_l(x))              h_l the token map after block l, l in the later half (7 .. 12)
    a(x)   = softmax(MLP([m_7 ; .. ; m_12]))             MLP: 6 dim -> 64 -> 6, ReLU between
    e(x)   = sum_l a_l(x) m_l(x)
    score  = e(x) (G + lambda I)^-1 Q                    `trainables/learners/analytic/ridge.py`

The extractor (transformer and MLP) is trained in the base session, as stated in the abstract, and then frozen; loss
and head (cross-entropy over 16 cos(e, w_c)) are those of the release's training loop. Later sessions only add their
clips to the statistics of the ridge. LN is the transformer's final LayerNorm.

lambda is chosen by leave-one-out over all clips whose rows are kept; with `choose: held-out`, as in version 1, on a
fifth of each class's support. The release differs, and `compat: reference` reproduces it:

    trains nothing: its training loop is commented out, so a(x) comes from an MLP with random weights
    drops class and distillation tokens, in attention and in the mean
    chooses lambda on the last fifth of the session's shuffled clips, fitted on the session's other clips only
    scores 16 cos(e(x), w_c) with w_c the column of the ridge's W, not their product
"""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.analytic.ridge import CHUNK, CLIPS, Ridge, held_out
from trainables.learners.features import Features
from trainables.learners.learner import Learner, Needs, column_labels
from trainables.learners.training import CosineBaseTraining, session_name, train
from trainables.networks.backbones.backbone import TokenBackbone
from trainables.networks.classifier import count_values, frozen, restored_backbone, trainable
from trainables.networks.heads import cosine_scores
from trainables.networks.specs import Capability
from trainables.networks.weights import weights_digest
from trainables.store.arrays import Rows
from trainables.store.state import State

HIDDEN = 64  # of the MLP
REFERENCE_FIT = 0.8  # of a session's clips, in the release


class MARSettings(CosineBaseTraining):
    """Settings of MAR; the defaults are the published ones."""

    compat: Literal["none", "reference"] = Field(
        "none",
        description="'reference': as released: trains nothing, drops the special tokens, chooses lambda on the last "
        "clips of a session, scores by cosine",
    )
    choose: Literal["leave-one-out", "held-out"] = Field(
        "leave-one-out", description="how lambda is chosen; 'reference' has its own way"
    )
    base_min_lr: float = Field(1e-8, ge=0, description="final lr of the cosine")
    base_weight_decay: float = Field(5e-4, ge=0)


class Fusion(nn.Module):
    """The MLP that weights the levels of each clip, and their weighted sum.

    Args:
        levels: their number.
        dim: of each.
        generator: draws weights and biases, uniform in +- 1 / sqrt(inputs), the default of nn.Linear.
    """

    def __init__(self, levels: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.inner = nn.utils.skip_init(nn.Linear, levels * dim, HIDDEN)
        self.outer = nn.utils.skip_init(nn.Linear, HIDDEN, levels)
        with torch.no_grad():
            for layer in (self.inner, self.outer):
                bound = 1 / math.sqrt(layer.in_features)
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)

    def weights(self, levels: Tensor) -> Tensor:
        """a(x): `[clips, levels, dim]` to `[clips, levels]`; each row sums to 1."""
        return self.outer(nn.functional.relu(self.inner(levels.flatten(1)))).softmax(dim=1)

    def forward(self, levels: Tensor) -> Tensor:
        """e(x): `[clips, levels, dim]` to `[clips, dim]`."""
        return (self.weights(levels)[:, :, None] * levels).sum(dim=1)


class MAR(Learner):
    """Trained as stated in the abstract; stores statistics of the clips seen, no clips.

    Attributes:
        encoder: frozen; P itself with `compat: reference`.
        fusion: frozen.
        ridge: statistics and classifier.
    """

    name = "mar"
    version = 2  # 1: lambda was chosen on held-out clips, as with `choose: held-out`
    summary = "embeddings of the later blocks fused by an MLP, ridge regression"
    paper = "Si et al. 2025, arXiv 2506.18406"
    Settings = MARSettings
    heads = ("ridge",)
    uses = frozenset({"tune", "tokens"})

    encoder: TokenBackbone
    fusion: Fusion

    def __init__(self, settings: MARSettings, features: Features) -> None:
        super().__init__(settings, features)
        self._reference = settings.compat == "reference"
        self._encoder_digest = ""
        self._by_leave_one_out = settings.choose == "leave-one-out" and not self._reference
        self._clips = CLIPS if self._by_leave_one_out else 0
        self.ridge = Ridge(features.backbone.dim, features.device, self._clips)

    @classmethod
    def capabilities(cls, settings: MARSettings) -> frozenset[Capability]:
        return frozenset({"tokens"}) if settings.compat == "reference" else cls.uses

    @classmethod
    def needs(cls, settings: MARSettings) -> Needs:
        if settings.choose == "leave-one-out" and settings.compat != "reference":
            return Needs()
        return Needs(shots=2, why="one to fit, one to choose lambda on")

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            self._learn_base(session, generator)
        rows = self.levels(session.support)
        columns = column_labels(session.support_labels, self.classes)
        if self._by_leave_one_out:
            self.ridge.fit(lambda index: self.fusion(rows[index]), columns, len(self.classes))
            return
        if self._reference:
            order = torch.randperm(len(columns), generator=generator)
            validation = torch.zeros(len(columns), dtype=torch.bool)
            validation[order[int(REFERENCE_FIT * len(columns)) :]] = True
        else:
            validation = held_out(session.support_labels, generator)
        self.ridge.learn(
            lambda index: self.fusion(rows[index]),
            columns,
            len(self.classes),
            validation,
            session_alone=self._reference,
        )

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        rows = self.levels(positions)
        embedded = [self.fusion(rows[slice(first, first + CHUNK)]) for first in range(0, len(rows), CHUNK)]
        if self._reference:
            directions = self.ridge.weights.T.float()
            return {"ridge": torch.cat([cosine_scores(part, directions) for part in embedded])}
        return {"ridge": torch.cat([self.ridge.scores(part) for part in embedded])}

    def state(self) -> State:
        parts = {"fusion": dict(self.fusion.state_dict()), **self.ridge.parts()}
        if not self._reference:
            parts["encoder"] = dict(self.encoder.state_dict())
        notes = {"classes": list(self.classes), "encoder_digest": self._encoder_digest}
        return State(parts, notes, frozenset({"fusion", "encoder"}))

    def load(self, state: State) -> None:
        backbone, device = self.features.token_backbone, self.features.device
        self.classes = list(state.notes["classes"])
        self._encoder_digest = state.notes["encoder_digest"]
        self.encoder = backbone if self._reference else restored_backbone(backbone, state.parts["encoder"])
        self.fusion = self._new_fusion(torch.Generator())
        self.fusion.load_state_dict(state.parts["fusion"])
        frozen(self.fusion)
        self.ridge = Ridge.from_parts(state.parts, device, self._clips)

    def parameter_counts(self) -> tuple[int, int]:
        networks = count_values(self.encoder, self.fusion)
        stored, used = self.ridge.count_values()
        return networks + stored, networks + used

    def _learn_base(self, session: Session, generator: torch.Generator) -> None:
        """Trains transformer and MLP with a cosine head that is discarded; then freezes both."""
        backbone, device = self.features.token_backbone, self.features.device
        self.fusion = fusion = self._new_fusion(generator)
        if self._reference:
            self.encoder, self._encoder_digest = backbone, backbone.digest
            frozen(fusion)
            return
        self.encoder = encoder = trainable(backbone)
        head = nn.Linear(backbone.dim, len(self.classes), bias=False, device="meta").to_empty(device="cpu")
        bound = 1 / math.sqrt(backbone.dim)
        with torch.no_grad():
            head.weight.uniform_(-bound, bound, generator=generator)
        head.to(device)
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(device)

        def loss(batch: Tensor) -> Tensor:
            embedded = fusion(levels(encoder, inputs[batch]))
            return nn.functional.cross_entropy(cosine_scores(embedded, head.weight), targets[batch])

        train(
            loss,
            [encoder, fusion, head],
            self.settings.base_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where=session_name(session),
        )
        frozen(encoder)
        frozen(fusion)
        self._encoder_digest = weights_digest(encoder)

    def _new_fusion(self, generator: torch.Generator) -> Fusion:
        backbone = self.features.token_backbone
        return Fusion(level_count(backbone), backbone.dim, generator).to(self.features.device)

    def levels(self, positions: tuple[int, ...]) -> Rows:
        """[m_7 .. m_12] of a group of clips: rows of `[levels, dim]`."""
        encoder = self.encoder
        first = encoder.special_tokens if self._reference else 0
        kind = f"levels of tokens from {first}"
        return self.features.frozen(kind, self._encoder_digest, positions, lambda x: levels(encoder, x, first))


def level_count(backbone: TokenBackbone) -> int:
    """Number of blocks whose outputs are embeddings: the later half, at least one."""
    return max(1, backbone.depth // 2)


def levels(backbone: TokenBackbone, inputs: Tensor, first_token: int = 0) -> Tensor:
    """m_l of the later half of the blocks: `[clips, ...]` to `[clips, levels, dim]`.

    Args:
        backbone: computes the token maps.
        inputs: of the front end.
        first_token: the tokens before it are dropped before the first block.
    """
    early = backbone.depth - level_count(backbone)
    hidden = backbone.blocks(backbone.patches(inputs)[:, first_token:], last=early)
    pooled = []
    for block in range(early, backbone.depth):
        hidden = backbone.blocks(hidden, block, block + 1)
        pooled.append(backbone.pool(hidden))
    return torch.stack(pooled, dim=1)
