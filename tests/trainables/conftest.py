"""Features of the tones, with the small random backbone."""

from pathlib import Path

import pytest

from datasets.shards import Shards
from trainables.arrays import ArrayStore
from trainables.backbone import load_backbone
from trainables.features import Features
from trainables.frontend import FrontEnd, FrontEndSpec


@pytest.fixture
def features(tones: Path, tmp_path: Path) -> Features:
    shards = Shards(tones)
    frontend = FrontEnd(FrontEndSpec(), shards.manifest.sample_rate, shards.manifest.num_samples)
    return Features(shards, frontend, load_backbone("random-tiny", frontend.frames), ArrayStore(tmp_path / "features"))
