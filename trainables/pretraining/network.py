"""The network for pretraining: an Audio Spectrogram Transformer that is invariant to where in time a clip starts."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import ASTConfig, ASTModel

from trainables.networks.frontend import MEL_BINS
from trainables.networks.weights import initialise
from trainables.pretraining.recipe import Size

SPECIAL = 2  # class and distillation token
PATCH = 16  # bins and frames of a patch
LONGEST = 1024  # frames of the position grid that is exported: 10.24 s


@dataclass(frozen=True)
class View:
    """The patches of a batch that are used.

    Attributes:
        steps: time steps of the position grid, int64 `[steps]`.
        patches: indices of the patches, int64 `[clips, kept]`.
    """

    steps: Tensor
    patches: Tensor


class Network(nn.Module):
    """An AST in training.

    A position embedding is the sum of one for the band and one for the time step, and a clip is placed anywhere in the
    grid: so a long grid is learned from short clips, independently of the time of an event. Only a fraction of the
    patches is used (Koutini et al. 2022, "Efficient training of audio transformers with patchout", arXiv 2110.05069),
    which saves computation and regularises. The output is centred and scaled by its mean and standard deviation over
    clips: the embeddings of an untrained network are nearly equal, and cosines would depend on their common part only.

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
        """The embedding of EDE and SimpleCIL: mean over tokens of LN, `[clips, frames, 128]` to `[clips, width]`.

        Args:
            inputs: normalised log-mel.
            view: the patches that are used (default: all, in the middle of the grid).
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

    def load_backbone(self, model: ASTModel) -> None:
        """Copies the weights of a pretrained model, such as one that this class exported.

        A position grid that is not a sum of bands and time steps is replaced by the nearest such sum.

        Args:
            model: of this architecture, with a grid of 10.24 s.

        Raises:
            ValueError: the model has another architecture.
        """
        state = model.state_dict()
        positions = state.pop("embeddings.position_embeddings")[0]
        expected = {key: value.shape for key, value in self.ast.state_dict().items()}
        shapes = {key: value.shape for key, value in state.items()}
        grid = positions[SPECIAL:]
        heads = model.config.num_attention_heads
        if (
            expected != shapes
            or len(grid) != len(self.band) * len(self.step)
            or heads != self.config.num_attention_heads
        ):
            raise ValueError("another architecture")
        grid = grid.unflatten(0, (len(self.band), len(self.step)))
        self.ast.load_state_dict(state)
        with torch.no_grad():
            self.special.copy_(positions[:SPECIAL])
            self.band.copy_(grid.mean(1))
            self.step.copy_(grid.mean(0) - grid.mean((0, 1)))

    def view(self, inputs: Tensor, keep: float, generator: torch.Generator) -> View:
        """Draws a fraction of the patches for each clip, and the place of the batch in the grid."""
        steps = (inputs.shape[1] - PATCH) // self.stride + 1
        device = generator.device
        first = torch.randint(len(self.step) - steps + 1, (1,), generator=generator, device=device)
        order = torch.rand(len(inputs), len(self.band) * steps, generator=generator, device=device).argsort(1)
        return View(first + torch.arange(steps, device=device), order[:, : max(1, round(keep * order.shape[1]))])

    def exported(self) -> ASTModel:
        """The network as a plain `ASTModel` with a grid of 10.24 s; the last LayerNorm includes the centring."""
        model = ASTModel(self.config)
        assert self.centred.running_mean is not None and self.centred.running_var is not None
        scale = (self.centred.running_var + self.centred.eps).rsqrt()
        grid = (self.band[:, None] + self.step).flatten(0, 1)
        state = self.ast.state_dict()
        state["layernorm.weight"] = state["layernorm.weight"] * scale
        state["layernorm.bias"] = (state["layernorm.bias"] - self.centred.running_mean) * scale
        state["embeddings.position_embeddings"] = torch.cat([self.special, grid])[None]
        model.load_state_dict({key: value.detach().float().cpu() for key, value in state.items()})
        return model.eval()
