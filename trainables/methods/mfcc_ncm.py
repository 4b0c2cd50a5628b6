"""MFCC nearest class mean: a lower baseline without deep learning.

    m(x)    = [ mean ; standard deviation ] over the frames of the MFCCs of x
    score_c = - || (m(x) - mu_c) / s ||        mu_c = mean of m over the support of c

s is the standard deviation of each value over the support clips of all sessions so far: a base session of few classes,
standardised by itself, would give the most weight to features in which its classes happen to be alike. A method below
this one is not worth its encoder.
"""

from functools import partial

import torch
import torchaudio
from pydantic import Field
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import Learner
from trainables.learners.running_moments import RunningMoments
from trainables.learners.settings import Settings
from trainables.networks.heads import class_means, distance_scores
from trainables.store.state import State


class MfccNcmSettings(Settings):
    """Settings of MFCC nearest class mean."""

    coefficients: int = Field(20, ge=2, le=64, description="MFCCs a frame")


class MfccNcm(Learner):
    """Mean and standard deviation over time of the MFCCs, standardised; nearest class mean.

    No pretraining, no training: the spectral envelope only. The statistics of the standardisation are those of the
    support clips of all sessions so far: a base session of few classes, standardised by itself, would give the most
    weight to features in which its classes happen to be alike.

    Attributes:
        means: mean of each class, not standardised: `[classes, 2 coefficients]`.
        moments: of the support clips of all sessions so far.
        own: moments of the support clips of each class, by label, with which it is forgotten; none of classes in
            states of earlier releases.
    """

    name = "mfcc-ncm"
    version = 2  # 1: standardised by the base support alone
    summary = "nearest class mean on MFCC mean and std: the floor"
    paper = "-"
    Settings = MfccNcmSettings
    heads = ("nearest-mean",)
    backbone = False
    forgets = True

    moments: RunningMoments

    def __init__(self, settings: MfccNcmSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.means = torch.empty(0)
        self.own: dict[int, RunningMoments] = {}
        count, rate = settings.coefficients, features.clips.sample_rate
        self._description = f"mfcc {count}", partial(mfcc_statistics, sample_rate=rate, count=count)

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        kind, compute = self._description
        return [self.features.description_request(kind, positions, compute)]

    def learn(self, session: Session, generator: torch.Generator) -> None:
        described = self._describe(session.support)
        moments = RunningMoments.of(described)
        means = class_means(described, session.support_labels, session.labels)
        self.moments = self.moments.merge(moments) if self.classes else moments
        self.means = torch.cat([self.means, means]) if self.classes else means
        parts = described.split([len(clips.support) for clips in session.classes])
        self.own |= {label: RunningMoments.of(part) for label, part in zip(session.labels, parts, strict=True)}
        self.classes += session.labels

    def forget(self, clips: ClassClips) -> None:
        column = self.classes.index(clips.label)
        own = self.own.pop(clips.label, None) or RunningMoments.of(self._describe(clips.support))
        self.moments = self.moments.remove(own)
        self.means = torch.cat([self.means[:column], self.means[column + 1 :]])
        del self.classes[column]

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        standardise = self.moments.standardise
        return {"nearest-mean": distance_scores(standardise(self._describe(positions)), standardise(self.means))}

    def state(self) -> State:
        parts = {"means": {"means": self.means}, "moments": self.moments.tensors()}
        if self.own:
            tensors = [moments.tensors() for moments in self.own.values()]
            parts["own"] = {key: torch.stack([one[key] for one in tensors]) for key in tensors[0]}
            parts["own"]["labels"] = torch.tensor(list(self.own))
        return State(parts, {"classes": list(self.classes)})

    def load(self, state: State) -> None:
        self.means = state.parts["means"]["means"]
        self.moments = RunningMoments(**state.parts["moments"])
        self.classes = list(state.notes["classes"])
        own = dict(state.parts.get("own", {}))
        labels = own.pop("labels").tolist() if own else []
        self.own = {
            label: RunningMoments(**{key: values[row] for key, values in own.items()})
            for row, label in enumerate(labels)
        }

    def parameter_counts(self) -> tuple[int, int]:
        count = self.means.numel() + sum(values.numel() for values in self.moments.tensors().values())
        own = sum(values.numel() for moments in self.own.values() for values in moments.tensors().values())
        return count + own, count

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
