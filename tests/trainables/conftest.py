"""Features of the tones, with the small random backbone."""

from pathlib import Path

import pytest

from datasets.benchmark.shards import Shards
from trainables.learners.features import Features
from trainables.networks.backbones.ast import load_ast
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import FrontEndSpec
from trainables.store.arrays import ArrayStore


@pytest.fixture
def features(tones: Path, tmp_path: Path) -> Features:
    shards = Shards(tones)
    frontend = FrontEnd(FrontEndSpec(), shards.manifest.sample_rate, shards.manifest.num_samples)
    return Features(shards, frontend, load_ast("random-tiny", frontend.frames), ArrayStore(tmp_path / "features"))
