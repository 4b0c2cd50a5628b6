"""L2P: learning to prompt (Wang et al., CVPR 2022, arXiv 2112.08654).

    q(x)   = mean LN(P(x))                                             the query: P's embedding, frozen
    K_x    = the top_k keys with the largest cos(q(x), k)              (eq. 3)
    x_p    = [prompts of K_x ; tokens of x]                            (eq. 2), a prompt = prompt_length tokens
    e(x)   = mean of LN(blocks of P) over the prompts' outputs
    loss   = CE(head(e(x)), y) - pull sum over K_x of cos(q(x), k)     (eq. 5)

P is frozen; prompts, keys and a linear head are trained in every session, without any memory of old clips. The logits
of old classes are masked in the loss, so old rows of the head receive no gradient.

Prompts are inserted before the first block: gradients pass through all of P, and nothing after the query can be stored
between sessions. The query is computed once per group. Patches are computed again at every step: they cost less than
1 % of the twelve blocks that follow and would take 3 times the space of the spectrogram.

Defaults are those of the port in PILOT; the authors' configuration for CIFAR-100 (google-research/l2p) has prompts of
10 tokens, top 4, pull 1 and gradients clipped to norm 1.

Different from PILOT and why:
- each clip selects its prompts (eq. 3); in PILOT a batch selects one common set, at test time too, so that a prediction
  depends on the other clips of the batch.
- P's query is the mean over tokens, the embedding that all methods share; in PILOT it is the class token of a ViT.
- prompts have no position; in PILOT they have interpolated ones.
- the head grows with the classes; in PILOT it has all of them from the start, with the same loss because of the mask.

Made for many clips: 25 clips are 2 batches of 16, so 5 epochs are 10 steps of Adam, which change no value by
much more than 10 lr = 0.02, while the published tasks have 1,500 steps; prompts are shared by all sessions and drift,
while the old rows of the head are constant; and the masked loss never compares an old class with a new one.
"""

from dataclasses import replace
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.features import BATCH, FeatureRequest
from trainables.learners.learner import Learner, column_labels
from trainables.learners.training import Schedule, Training, session_name, train
from trainables.networks.backbones.backbone import TokenBackbone
from trainables.networks.classifier import count_values, frozen, restored_linear, trainable
from trainables.networks.heads import linear_head
from trainables.store.state import State


class L2PSettings(Training):
    """Settings of L2P; the defaults are those of PILOT."""

    batch_size: int = Field(16, ge=1, description="the size that the published lr was scaled for")
    base_epochs: int = Field(5, ge=0)
    base_lr: float = Field(1.875e-3, gt=0)
    base_weight_decay: float = Field(0.0, ge=0)
    incremental_epochs: int = Field(5, ge=0)
    incremental_lr: float = Field(1.875e-3, gt=0)
    incremental_weight_decay: float = Field(0.0, ge=0)
    pool_size: int = Field(10, ge=1, description="prompts in the pool")
    prompt_length: int = Field(5, ge=1, description="tokens of a prompt")
    top_k: int = Field(5, ge=1, description="prompts that a clip selects")
    pull: float = Field(0.1, ge=0, description="weight of the similarity of queries and selected keys")

    @model_validator(mode="after")
    def _enough_prompts(self) -> "L2PSettings":
        if self.top_k > self.pool_size:
            raise ValueError(f"top_k must not exceed pool_size, found {self.top_k} of {self.pool_size}")
        return self

    def base_schedule(self) -> Schedule:
        """Of the base session: Adam."""
        return replace(super().base_schedule(), optimiser="adam")

    def incremental_schedule(self) -> Schedule:
        """Of a later session: Adam, with a new optimiser state."""
        return replace(super().incremental_schedule(), optimiser="adam")


class PromptPool(nn.Module):
    """Prompts with their keys, uniform in [-1, 1] as in the port of PILOT.

    Args:
        size: prompts.
        length: tokens of a prompt.
        dim: width of a token.
        generator: draws both; None if they will be loaded.
    """

    def __init__(self, size: int, length: int, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.zeros(size, length, dim))
        self.keys = nn.Parameter(torch.zeros(size, dim))
        if generator is not None:
            for parameter in (self.prompts, self.keys):
                nn.init.uniform_(parameter, -1.0, 1.0, generator=generator)

    def forward(self, queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Selects the prompts of each clip by key.

        Args:
            queries: `[clips, dim]`.
            count: prompts a clip.

        Returns:
            Their tokens, the best match first, `[clips, count * length, dim]`; and each clip's sum of cosines with its
            selected keys, `[clips]`.
        """
        cosines = nn.functional.cosine_similarity(queries[:, None], self.keys[None], dim=2)
        best, chosen = cosines.topk(count, dim=1)
        return self.prompts[chosen].flatten(1, 2), best.sum(dim=1)


class L2P(Learner):
    """A pool of prompts steers a frozen network; a linear head reads the prompts' outputs.

    Attributes:
        pool: frozen.
        linear: the head, frozen.
    """

    name = "l2p"
    version = 1
    summary = "prompts selected from a pool by key steer a frozen network; linear head"
    paper = "Wang et al. 2022, arXiv 2112.08654"
    Settings = L2PSettings
    heads = ("linear",)
    uses = frozenset({"tune", "tokens"})

    pool: PromptPool
    linear: nn.Linear

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.pooled_request(positions)]

    def learn(self, session: Session, generator: torch.Generator) -> None:
        settings, device = self.settings, self.features.device
        known = len(self.classes)
        self.classes += session.labels
        backbone = self.features.token_backbone
        if session.index == 0:
            pool, old = PromptPool(settings.pool_size, settings.prompt_length, backbone.dim, generator).to(device), None
        else:
            pool, old = trainable(self.pool), self.linear  # a copy: earlier states do not change
        linear = linear_head(backbone.dim, len(self.classes), generator, grown_from=old).to(device)
        inputs = self.features.inputs(session.support)
        queries = self.features.pooled(session.support)
        targets = column_labels(session.support_labels, session.labels).to(device)

        def loss(batch: Tensor) -> Tensor:
            prompts, similarity = pool(queries[batch], settings.top_k)
            logits = linear(prompted(backbone, prompts, inputs[batch]))[:, known:]
            return nn.functional.cross_entropy(logits, targets[batch]) - settings.pull * similarity.mean()

        train(
            loss,
            [pool, linear],
            settings.base_schedule() if session.index == 0 else settings.incremental_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where=session_name(session),
        )
        self.pool, self.linear = frozen(pool), frozen(linear)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        inputs, queries = self.features.inputs(positions), self.features.pooled(positions)
        scores = []
        with torch.inference_mode():
            for first in range(0, len(positions), BATCH):
                rows = slice(first, first + BATCH)
                prompts, _ = self.pool(queries[rows], self.settings.top_k)
                with self.features.autocast():
                    embedded = prompted(self.features.token_backbone, prompts, inputs[rows])
                scores.append(self.linear(embedded.float()))
        return {"linear": torch.cat(scores)}

    def state(self) -> State:
        parts: dict[str, Any] = {"pool": dict(self.pool.state_dict()), "linear": dict(self.linear.state_dict())}
        return State(parts, {"classes": list(self.classes)})

    def load(self, state: State) -> None:
        settings, device = self.settings, self.features.device
        self.classes = list(state.notes["classes"])
        pool = PromptPool(settings.pool_size, settings.prompt_length, self.features.backbone.dim)
        pool.load_state_dict(state.parts["pool"])
        self.pool = frozen(pool.to(device))
        self.linear = frozen(restored_linear(state.parts["linear"], device))

    def parameter_counts(self) -> tuple[int, int]:
        """Scoring a clip uses all keys, and the prompts that it selects."""
        stored = count_values(self.features.backbone, self.pool, self.linear)
        settings = self.settings
        unused = (settings.pool_size - settings.top_k) * settings.prompt_length * self.features.backbone.dim
        return stored, stored - unused


def prompted(backbone: TokenBackbone, prompts: Tensor, inputs: Tensor) -> Tensor:
    """Embedding of clips behind prompts: mean of the final LayerNorm over the prompts' tokens.

    Args:
        backbone: P.
        prompts: `[clips, prompt tokens, dim]`.
        inputs: `[clips, ...]`.

    Returns:
        `[clips, dim]`.
    """
    hidden = backbone.blocks(torch.cat([prompts, backbone.patches(inputs)], dim=1))
    return backbone.pool(hidden[:, : prompts.shape[1]])
