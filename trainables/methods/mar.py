"""MAR: embeddings of many blocks, fused by an MLP, and a ridge regression classifier.

Si et al. 2025, arXiv 2506.18406.

    m_l(x) = mean over tokens of LN(h_l(x))              h_l the token map after block l, l in the later half (7 .. 12)
    a(x)   = softmax(MLP([m_7 ; .. ; m_12]))             MLP: 6 dim -> 64 -> 6, ReLU between
    e(x)   = sum_l a_l(x) m_l(x)
    score  = e(x) (G + lambda I)^-1 Q                    `trainables/networks/ridge.py`

The extractor (transformer and MLP) is trained in the base session, as the abstract says, and then frozen; loss and head
(cross-entropy over 16 cos(e, w_c)) are those of the release's training loop;
later sessions only add their clips to the statistics of the ridge. LN is the transformer's own final LayerNorm.

The release does otherwise, and `compat: reference` does as the release:

    trains nothing: its training loop is commented out, so a(x) is what the MLP's random start says
    sees no class and distillation tokens, neither in attention nor in the mean
    chooses lambda on the last fifth of the session's shuffled clips, fitted on the others of the session alone
    scores 16 cos(e(x), w_c) with w_c the column of the ridge's W, not their product
"""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.learners.learner import Learner, Needs, column_labels
from trainables.learners.training import CosineBaseTraining, train
from trainables.networks.backbone import Backbone, weights_digest
from trainables.networks.classifier import count_values, frozen, trainable
from trainables.networks.heads import cosine_scores
from trainables.networks.ridge import CHUNK, Ridge, held_out
from trainables.store.arrays import Rows
from trainables.store.state import State

HIDDEN = 64  # of the MLP
SPECIAL = 2  # class and distillation token, in front of the patches
REFERENCE_FIT = 0.8  # of a session's clips, in the release


class MARSettings(CosineBaseTraining):
    """Settings of MAR; the defaults are the published ones."""

    compat: Literal["none", "reference"] = Field(
        "none",
        description="'reference': as released: trains nothing, drops the special tokens, chooses lambda on the last "
        "clips of a session, scores by cosine",
    )
    base_min_lr: float = Field(1e-8, ge=0, description="where the cosine ends")
    base_weight_decay: float = Field(5e-4, ge=0)


class Fusion(nn.Module):
    """The MLP that weighs the levels of each clip, and their weighted sum.

    Args:
        levels: how many.
        dim: of each.
        generator: draws weights and biases, uniform in +- 1 / sqrt(inputs) as torch starts a linear layer.
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
        """a(x): `[clips, levels, dim]` to `[clips, levels]`, with rows of sum 1."""
        return self.outer(nn.functional.relu(self.inner(levels.flatten(1)))).softmax(dim=1)

    def forward(self, levels: Tensor) -> Tensor:
        """e(x): `[clips, levels, dim]` to `[clips, dim]`."""
        return (self.weights(levels)[:, :, None] * levels).sum(dim=1)


class MAR(Learner):
    """Trained as the abstract says; what is remembered are statistics, no clips."""

    name = "mar"
    version = 1
    summary = "embeddings of the later blocks fused by an MLP, ridge regression"
    paper = "Si et al. 2025, arXiv 2506.18406"
    Settings = MARSettings
    heads = ("ridge",)

    def __init__(self, settings: MARSettings, features: Features) -> None:
        super().__init__(settings, features)
        self._reference = settings.compat == "reference"
        self._encoder: Backbone | None = None  # P itself in the release
        self._encoder_digest = ""
        self._fusion: Fusion | None = None
        self._ridge = Ridge(features.backbone.dim, features.device)

    @classmethod
    def needs(cls, settings: MARSettings) -> Needs:
        return Needs(shots=2, why="one to fit, one to choose lambda on")

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            self._learn_base(session, generator)
        rows = self._levels(session.support)
        columns = column_labels(session.support_labels, self.classes)
        if self._reference:
            order = torch.randperm(len(columns), generator=generator)
            held = torch.zeros(len(columns), dtype=torch.bool)
            held[order[int(REFERENCE_FIT * len(columns)) :]] = True
        else:
            held = held_out(session.support_labels, generator)
        self._ridge.learn(
            lambda index: self._fused(rows[index]), columns, len(self.classes), held, session_alone=self._reference
        )

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        rows = self._levels(positions)
        embedded = [self._fused(rows[slice(first, first + CHUNK)]) for first in range(0, len(rows), CHUNK)]
        if self._reference:
            directions = self._ridge.weights.T.float()
            return {"ridge": torch.cat([cosine_scores(part, directions) for part in embedded])}
        return {"ridge": torch.cat([self._ridge.scores(part) for part in embedded])}

    def state(self) -> State:
        assert self._encoder is not None and self._fusion is not None
        parts = {"fusion": dict(self._fusion.state_dict()), **self._ridge.parts()}
        if not self._reference:
            parts["encoder"] = dict(self._encoder.state_dict())
        notes = {"classes": list(self.classes), "encoder_digest": self._encoder_digest}
        return State(parts, notes, frozenset({"fusion", "encoder"}))

    def load(self, state: State) -> None:
        backbone, device = self.features.backbone, self.features.device
        self.classes = list(state.notes["classes"])
        self._encoder_digest = state.notes["encoder_digest"]
        self._encoder = backbone
        if not self._reference:
            encoder = trainable(backbone)
            encoder.load_state_dict(state.parts["encoder"])
            self._encoder = frozen(encoder)
        self._fusion = self._new_fusion(torch.Generator())
        self._fusion.load_state_dict(state.parts["fusion"])
        frozen(self._fusion)
        self._ridge = Ridge.from_parts(state.parts, device)

    def parameters(self) -> tuple[int, int]:
        assert self._encoder is not None and self._fusion is not None
        networks = count_values(self._encoder, self._fusion)
        stored, used = self._ridge.count_values()
        return networks + stored, networks + used

    def _learn_base(self, session: Session, generator: torch.Generator) -> None:
        """Trains transformer and MLP with a cosine head that is thrown away; then freezes both."""
        backbone, device = self.features.backbone, self.features.device
        self._fusion = fusion = self._new_fusion(generator)
        if self._reference:
            self._encoder, self._encoder_digest = backbone, backbone.digest
            frozen(fusion)
            return
        self._encoder = encoder = trainable(backbone)
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
            where="base session",
        )
        frozen(encoder)
        frozen(fusion)
        self._encoder_digest = weights_digest(encoder)

    def _new_fusion(self, generator: torch.Generator) -> Fusion:
        backbone = self.features.backbone
        return Fusion(level_count(backbone), backbone.dim, generator).to(self.features.device)

    def _levels(self, positions: tuple[int, ...]) -> Rows:
        """[m_7 .. m_12]: rows of `[levels, dim]`."""
        encoder = self._encoder
        assert encoder is not None
        first = SPECIAL if self._reference else 0
        kind = f"levels of tokens from {first}"
        return self.features.frozen(kind, self._encoder_digest, positions, lambda x: levels(encoder, x, first))

    def _fused(self, rows: Tensor) -> Tensor:
        """e(x): `[clips, levels, dim]` to `[clips, dim]`, in float32."""
        assert self._fusion is not None
        fused: Tensor = self._fusion(rows)
        return fused


def level_count(backbone: Backbone) -> int:
    """How many blocks give an embedding: the later half, at least one."""
    return max(1, len(backbone.ast.layers) // 2)


def levels(backbone: Backbone, inputs: Tensor, first_token: int = 0) -> Tensor:
    """m_l of the later half of the blocks: `[clips, frames, 128]` to `[clips, levels, dim]`.

    Args:
        backbone: gives the token maps.
        inputs: spectrograms.
        first_token: the tokens before it are dropped ahead of the first block.
    """
    early = len(backbone.ast.layers) - level_count(backbone)
    hidden = backbone.blocks(backbone.patches(inputs)[:, first_token:], last=early)
    pooled = []
    for block in range(early, len(backbone.ast.layers)):
        hidden = backbone.blocks(hidden, block, block + 1)
        pooled.append(backbone.pool(hidden))
    return torch.stack(pooled, dim=1)
