"""The network that is pretrained: an Audio Spectrogram Transformer that does not care where in time a clip begins."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import ASTConfig, ASTModel

from trainables.networks.backbone import initialise
from trainables.networks.frontend import MEL_BINS

SPECIAL = 2  # class and distillation token
PATCH = 16  # bins and frames of a patch
LONGEST = 1024  # frames of the position grid that is exported: 10.24 s


@dataclass(frozen=True)
class Size:
    """Architecture of a named size.

    Attributes:
        width: of a token.
        blocks: transformer blocks.
        heads: of their attention.
        stride: of the 16 x 16 patches, in frequency and time.
    """

    width: int
    blocks: int
    heads: int
    stride: int = 16


SIZES = {"tiny": Size(192, 4, 3), "small": Size(384, 12, 6, stride=10)}


@dataclass(frozen=True)
class View:
    """What of a batch is read.

    Attributes:
        steps: time steps of the grid that the patches take, int64 `[steps]`.
        patches: which patches, int64 `[clips, kept]`.
    """

    steps: Tensor
    patches: Tensor


class Network(nn.Module):
    """An AST in training.

    A position is that of its band plus that of its time step, and a clip is placed anywhere in the grid: so a long
    grid is learned from short clips, and what is learned does not depend on the time of an event. Of the patches only a
    share is read (Koutini et al. 2022, "Efficient training of audio transformers with patchout", arXiv 2110.05069):
    less to compute, and no patch can be relied on. What comes out is centred and scaled by its mean and standard
    deviation over clips: an untrained network says nearly the same of all of them, and a cosine sees only that.

    Args:
        size: the architecture.
        seed: of the initial weights.
    """

    def __init__(self, size: Size, seed: int) -> None:
        super().__init__()
        self.stride = size.stride
        self.config = ASTConfig(
            hidden_size=size.width,
            num_hidden_layers=size.blocks,
            num_attention_heads=size.heads,
            intermediate_size=4 * size.width,
            layer_norm_eps=1e-6,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            patch_size=PATCH,
            frequency_stride=size.stride,
            time_stride=size.stride,
            max_length=LONGEST,
            num_mel_bins=MEL_BINS,
        )
        self.config._attn_implementation = "sdpa"
        with torch.device("meta"):
            self.ast = ASTModel(self.config)
        self.ast.to_empty(device="cpu")
        bands, steps = (int(number) for number in self.ast.embeddings.get_shape(self.config))
        del self.ast.embeddings.position_embeddings
        self.special = nn.Parameter(torch.empty(SPECIAL, size.width))
        self.band = nn.Parameter(torch.empty(bands, size.width))
        self.step = nn.Parameter(torch.empty(steps, size.width))
        self.centred = nn.BatchNorm1d(size.width, affine=False, momentum=0.05)
        initialise(self, torch.Generator().manual_seed(seed))

    def forward(self, inputs: Tensor, view: View | None = None) -> Tensor:
        """What EDE and SimpleCIL read: the mean over tokens of LN, `[clips, frames, 128]` to `[clips, width]`.

        Args:
            inputs: normalised log-mel.
            view: what is read of it; all patches, in the middle of the grid, where None.
        """
        embeddings = self.ast.embeddings
        patches = embeddings.patch_embeddings.projection(inputs.transpose(1, 2)[:, None])
        first = (len(self.step) - patches.shape[3]) // 2
        steps = self.step[view.steps] if view else self.step[first : first + patches.shape[3]]
        hidden = patches.flatten(2).transpose(1, 2) + (self.band[:, None] + steps).flatten(0, 1)
        if view:
            hidden = hidden.gather(1, view.patches[..., None].expand(-1, -1, hidden.shape[2]))
        tokens = torch.cat([embeddings.cls_token, embeddings.distillation_token], 1) + self.special
        hidden = torch.cat([tokens.expand(len(hidden), -1, -1), hidden], 1)
        for block in self.ast.layers:
            hidden = block(hidden, None)
        pooled: Tensor = self.centred(self.ast.layernorm(hidden).float().mean(1))
        return pooled

    def take_over(self, model: ASTModel) -> None:
        """Goes on from a pretrained model, as one that this class exported: its weights become those of this network.

        Of a position grid that is no sum of a band and a time step, the nearest such sum is taken.

        Args:
            model: of this architecture, with a grid of 10.24 s.

        Raises:
            ValueError: it has another architecture.
        """
        state = model.state_dict()
        positions = state.pop("embeddings.position_embeddings")[0]
        own = {key: value.shape for key, value in self.ast.state_dict().items()}
        found = {key: value.shape for key, value in state.items()}
        grid = positions[SPECIAL:]
        heads = model.config.num_attention_heads
        if own != found or len(grid) != len(self.band) * len(self.step) or heads != self.config.num_attention_heads:
            raise ValueError("another architecture")
        grid = grid.unflatten(0, (len(self.band), len(self.step)))
        self.ast.load_state_dict(state)
        with torch.no_grad():
            self.special.copy_(positions[:SPECIAL])
            self.band.copy_(grid.mean(1))
            self.step.copy_(grid.mean(0) - grid.mean((0, 1)))

    def view(self, inputs: Tensor, keep: float, generator: torch.Generator) -> View:
        """Draws a share of the patches for each clip, and where in the grid the batch lies."""
        steps = (inputs.shape[1] - PATCH) // self.stride + 1
        device = generator.device
        first = torch.randint(len(self.step) - steps + 1, (1,), generator=generator, device=device)
        order = torch.rand(len(inputs), len(self.band) * steps, generator=generator, device=device).argsort(1)
        return View(first + torch.arange(steps, device=device), order[:, : max(1, round(keep * order.shape[1]))])

    def exported(self) -> ASTModel:
        """The network as a plain `ASTModel` with a grid of 10.24 s; the last LayerNorm takes over what centres it."""
        model = ASTModel(self.config)
        assert self.centred.running_mean is not None and self.centred.running_var is not None
        scale = (self.centred.running_var + self.centred.eps).rsqrt()
        placed = (self.band[:, None] + self.step).flatten(0, 1)
        state = self.ast.state_dict()
        state["layernorm.weight"] = state["layernorm.weight"] * scale
        state["layernorm.bias"] = (state["layernorm.bias"] - self.centred.running_mean) * scale
        state["embeddings.position_embeddings"] = torch.cat([self.special, placed])[None]
        model.load_state_dict({key: value.detach().float().cpu() for key, value in state.items()})
        return model.eval()
