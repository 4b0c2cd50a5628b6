"""ResNet-18 (He et al. 2016, arXiv 1512.03385) on log-mel spectrograms, with random weights.

The network that papers on few-shot class-incremental audio classification train on the base classes. Its spectrogram is
a picture with one channel; the embedding is the mean over the last feature map, 512 values. Weights are drawn as in
torchvision (Kaiming normal, fan out), with a generator of their own: they are the same in every process. BatchNorm uses
the statistics of the batch while a method trains the network, as in the papers, and its running ones afterwards.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn

from trainables.networks.backbones.backbone import Backbone
from trainables.networks.backbones.source import Source
from trainables.networks.checkpoint import Architecture, load_parameters
from trainables.networks.specs import BackboneSpec, ClipFormat
from trainables.networks.weights import weights_digest

EXAMPLE = "resnet18"
MODEL_TYPES: tuple[str, ...] = ()
LAYERS = False
FRONT_ENDS = False

WIDTHS = (64, 128, 256, 512)
MEL_BINS = 128
WINDOW, HOP = 0.025, 0.010  # seconds
FLOOR = 1e-10  # of a power
SCALE = 40.0  # dB that become 1: spectrograms are about in [-1, 1]


class LogMel:
    """Log-mel spectrograms at any sample rate, centred on -SCALE dB.

    Args:
        clips: what it reads.
        device: where it runs.
    """

    spec = f"log-mel {MEL_BINS} {WINDOW:g}/{HOP:g}"

    def __init__(self, clips: ClipFormat, device: torch.device | str = "cpu") -> None:
        self.sample_rate = clips.sample_rate
        self.device = torch.device(device)
        window = round(WINDOW * clips.sample_rate)
        self._mel = torchaudio.transforms.MelSpectrogram(
            clips.sample_rate,
            n_fft=max(1024, 2 ** math.ceil(math.log2(window))),
            win_length=window,
            hop_length=round(HOP * clips.sample_rate),
            n_mels=MEL_BINS,
            pad_mode="constant",
        ).to(self.device)

    def __call__(self, waves: Tensor) -> Tensor:
        """`[clips, samples]` in [-1, 1] to `[clips, frames, bins]`."""
        power: Tensor = self._mel(waves.to(self.device)).clamp_min(FLOOR)
        return (10 * power.log10().transpose(1, 2) + SCALE) / SCALE


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        stride: of the first convolution and the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        """`[clips, inputs, height, width]` to `[clips, outputs, height / stride, width / stride]`."""
        hidden = nn.functional.relu(self.norm1(self.conv1(maps)))
        return nn.functional.relu(self.norm2(self.conv2(hidden)) + self.shortcut(maps))


class ResNetBackbone(Backbone):
    """ResNet-18 on log-mel spectrograms; its weights are on the meta device until they are drawn or loaded.

    Args:
        clips: that it is for.
        device: where the front end runs.
    """

    family = "resnet"
    provides = frozenset({"embed", "tune", "spectrogram"})

    def __init__(self, clips: ClipFormat, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.frontend = LogMel(clips, device)
        self.dim = WIDTHS[-1]
        with torch.device("meta"):  # no draw from the global generator
            self.stem = nn.Sequential(
                nn.Conv2d(1, WIDTHS[0], 7, 2, padding=3, bias=False),
                nn.BatchNorm2d(WIDTHS[0]),
                nn.ReLU(),
                nn.MaxPool2d(3, 2, padding=1),
            )
            stages = zip((WIDTHS[0], *WIDTHS), WIDTHS, (1, 2, 2, 2), strict=False)
            self.stages = nn.Sequential(
                *(
                    nn.Sequential(Block(inputs, outputs, stride), Block(outputs, outputs, 1))
                    for inputs, outputs, stride in stages
                )
            )

    @property
    def architecture(self) -> bytes:
        return repr((self.family, self.frontend.spec, SCALE)).encode()

    def embed(self, inputs: Tensor) -> Tensor:
        maps: Tensor = self.stages(self.stem(inputs[:, None]))
        return maps.mean(dim=(2, 3))

    def save_config(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({"layers": 18}) + "\n")

    def saved_state(self) -> dict[str, Tensor]:
        return dict(self.state_dict())


def load(source: Source, spec: BackboneSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> ResNetBackbone:
    """The network with random weights, always the same."""
    backbone = ResNetBackbone(clips, device).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for _, module in sorted(backbone.named_modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    backbone.digest = weights_digest(backbone)
    return backbone


def restore(
    values: Mapping[str, Any], state: Mapping[str, Tensor], spec: BackboneSpec, clips: ClipFormat, device: Any = "cpu"
) -> ResNetBackbone:
    """The network from the files of an export; see `ast.restore`."""
    backbone = ResNetBackbone(clips, device)
    architecture = Architecture("ResNet-18", "", re.compile(r"(?!)"))
    load_parameters(backbone, state, "backbone", architecture, assign=True, advice="export it again")
    return backbone
