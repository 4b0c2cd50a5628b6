"""The settings of pretraining; imports no PyTorch."""

from dataclasses import dataclass

SYNTHETIC = "synthetic"
"""Name of the procedural sources, in place of a benchmark."""


@dataclass(frozen=True)
class Size:
    """Architecture of a named size.

    Attributes:
        width: of a token.
        blocks: number of transformer blocks.
        heads: number of attention heads.
        stride: of the 16 x 16 patches, in frequency and time.
    """

    width: int
    blocks: int
    heads: int
    stride: int = 16


SIZES = {"tiny": Size(192, 4, 3), "small": Size(384, 12, 6, stride=10)}


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the weights, except the type of device.

    Attributes:
        benchmark: `synthetic` and the version of the generator, or the kind of sources and the benchmark's fingerprint.
        config: size of the network.
        init: digest of the backbone that training starts from; empty for random weights.
        steps: number of batches.
        sources: per batch.
        clips: per source.
        lr: peak learning rate (AdamW; warm-up, then cosine annealing to zero).
        weight_decay: of matrices.
        keep: fraction of the patches that is used in training.
        seed: of the weights, the stream and the patches.
    """

    benchmark: str = SYNTHETIC
    config: str = "tiny"
    init: str = ""
    steps: int = 2000
    sources: int = 64
    clips: int = 4
    lr: float = 1e-3
    weight_decay: float = 0.05
    keep: float = 0.5
    seed: int = 0
