"""MFCC nearest class mean: a lower baseline without deep learning."""

from functools import partial

import torch
import torchaudio
from pydantic import Field
from torch import Tensor

from datasets.benchmark.protocol import Session
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import Learner
from trainables.learners.settings import Settings
from trainables.networks.heads import class_means, distance_scores
from trainables.store.state import State


class MfccNcmSettings(Settings):
    """Settings of MFCC nearest class mean."""

    coefficients: int = Field(20, ge=2, le=64, description="MFCCs a frame")


class MfccNcm(Learner):
    """Mean and standard deviation over time of the MFCCs, standardised by the base support; nearest class mean.

    No pretraining, no training: the spectral envelope only.
    """

    name = "mfcc-ncm"
    version = 1
    summary = "nearest class mean on MFCC mean and std: the floor"
    paper = "-"
    Settings = MfccNcmSettings
    heads = ("nearest-mean",)
    backbone = False

    def __init__(self, settings: MfccNcmSettings, features: Features) -> None:
        super().__init__(settings, features)
        self._means = self._centre = self._scale = torch.empty(0)
        count, rate = settings.coefficients, features.clips.sample_rate
        self._description = f"mfcc {count}", partial(mfcc_statistics, sample_rate=rate, count=count)

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        kind, compute = self._description
        return [self.features.description_request(kind, positions, compute)]

    def learn(self, session: Session, generator: torch.Generator) -> None:
        described = self._describe(session.support)
        if not self.classes:
            self._centre = described.mean(dim=0)
            self._scale = described.std(dim=0).clamp_min(1e-6)
        new = class_means((described - self._centre) / self._scale, session.support_labels, session.labels)
        self._means = torch.cat([self._means, new]) if self.classes else new
        self.classes += session.labels

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        standardised = (self._describe(positions) - self._centre) / self._scale
        return {"nearest-mean": distance_scores(standardised, self._means)}

    def state(self) -> State:
        tensors = {"means": self._means, "centre": self._centre, "scale": self._scale}
        return State({"means": tensors}, {"classes": list(self.classes)})

    def load(self, state: State) -> None:
        self._means, self._centre, self._scale = (state.parts["means"][key] for key in ("means", "centre", "scale"))
        self.classes = list(state.notes["classes"])

    def parameter_counts(self) -> tuple[int, int]:
        count = self._means.numel() + self._centre.numel() + self._scale.numel()
        return count, count

    def _describe(self, positions: tuple[int, ...]) -> Tensor:
        kind, compute = self._description
        return self.features.describe(kind, positions, compute)


def mfcc_statistics(waves: Tensor, *, sample_rate: int, count: int) -> Tensor:
    """Mean and std over time of `count` MFCCs (25 ms windows every 10 ms, 64 mel bins): `[clips, 2 count]`."""
    window = round(0.025 * sample_rate)
    transform = torchaudio.transforms.MFCC(
        sample_rate,
        n_mfcc=count,
        melkwargs={
            "n_fft": window,
            "hop_length": round(0.01 * sample_rate),
            "n_mels": 64,
            "f_max": sample_rate / 2,
        },
    )
    coefficients: Tensor = transform(waves)
    return torch.cat([coefficients.mean(dim=2), coefficients.std(dim=2)], dim=1)
