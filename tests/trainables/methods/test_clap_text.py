"""clap-text: names and prototypes mixed, and the weight that leave-one-out chooses."""

from pathlib import Path
from typing import Any

import pytest
import torch

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.validation import validated
from tests.support.chain_runs import PROTOCOL
from tests.support.encoders import write_clap
from tests.support.learning import sessions, trained
from trainables.chain_config import ChainConfig
from trainables.learners.features import Features
from trainables.methods.clap_text import (
    STEPS,
    ClapText,
    ClapTextSettings,
    best_weight,
    correct_without_itself,
    text_of,
)
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import BackboneSpec, ClipFormat
from trainables.session_chain import Chain
from trainables.store.arrays import ArrayStore


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clap")
    write_clap(folder)
    return folder


@pytest.fixture
def features(clap: Path, tones: Path, tmp_path: Path) -> Features:
    shards = Shards(tones)
    clips = ClipFormat(shards.sample_rate, shards.manifest.num_samples)
    backbone = load_backbone(BackboneSpec(str(clap)), clips)
    return Features(shards, backbone.frontend, backbone, ArrayStore(tmp_path / "features"))


def learned(features: Features, count: int, **settings: Any) -> ClapText:
    return trained(ClapText(ClapTextSettings.model_validate(settings), features), count)


def test_leave_one_out_by_hand() -> None:
    """Two classes on the axes; the second clip of the first lies nearer to the second class.

    Names are right for every clip; without itself, the clips of the first class have each other as prototype:
    (0.6, 0.8) is nearer to (0, 1), the prototype of the second, than to (1, 0).
    """
    embeddings = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, 1.0]])
    columns = torch.tensor([0, 0, 1, 1])
    prototypes = torch.tensor([[0.8, 0.4], [0.0, 1.0]])
    texts = torch.tensor([[1.0, 0.5], [-1.0, 0.5]])
    correct = correct_without_itself(embeddings, columns, prototypes, texts)
    # (0.6, 0.8): text cosines (1 / 1.25 ** 0.5, -0.2 / 1.25 ** 0.5), prototype cosines (0.6, 0.8): right while
    # (1 - w) 1.2 / 1.25 ** 0.5 > 0.2 w, that is up to w = 0.843
    assert correct[0].tolist() == [2] * 17 + [1] * 4
    # (0, 1): both names are equally near, and the first of equal scores counts; any weight of the prototypes decides
    assert correct[1].tolist() == [0] + [2] * STEPS
    assert best_weight(correct) == 8 / 20  # the middle one of 1 / 20 to 16 / 20


def test_one_shot_leaves_the_weight_in_the_middle() -> None:
    correct = correct_without_itself(torch.eye(2), torch.tensor([0, 1]), torch.eye(2), torch.eye(2))
    assert correct.sum() == 0 and best_weight(correct) == 0.5


def test_texts_of_names() -> None:
    assert text_of("This is a sound of {name}.", "dog__bark_{name}") == "This is a sound of dog bark {name}."


def test_scores_are_mixed_cosines(features: Features) -> None:
    query = sessions(features)[0].classes[0].query
    mixed, text, prototype = learned(features, 2, mix=0.25).score(query).values()
    torch.testing.assert_close(mixed, 0.75 * text + 0.25 * prototype)
    tower = features.backbone.text
    assert tower is not None
    learner = learned(features, 2, template="a {name}")
    names = [f"a tone {label}" for label in learner.classes]
    expected = 16 * features.pooled(query) @ tower.embed(names).T
    torch.testing.assert_close(learner.score(query)["text"], expected)
    ends = [learned(features, 2, mix=weight).score(query) for weight in (0, 1)]
    assert torch.equal(ends[0]["mixed"], text) and torch.equal(ends[1]["mixed"], prototype)


def test_the_state_has_a_row_of_every_class(features: Features) -> None:
    """Learning adds rows and changes none, so a class is forgotten by removing its row."""
    before, after = learned(features, 1), learned(features, 3)
    for key, value in before.state().parts["classes"].items():
        assert torch.equal(value, after.state().parts["classes"][key][:2])
        assert len(after.state().parts["classes"][key]) == 6
    restored = ClapText(after.settings, features)
    restored.load(after.state())
    assert restored.weight == after.weight == best_weight(after.correct)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"template": "a sound"}, r"expected a text with \{name\} in it once"),
        ({"mix": 1.5}, "mix: .*expected auto, or a number from 0 to 1, found 1.5"),
        ({"mix": "validation"}, "mix: .*expected auto, or a number from 0 to 1"),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(EarshotError, match=message) as caught:
        validated(ClapTextSettings, settings, "method clap-text")
    assert "\n" not in str(caught.value)


def test_the_address_of_a_stage_covers_the_text_tower(clap: Path, tones: Path, tmp_path: Path) -> None:
    def addresses(method: str, folder: Path) -> list[str]:
        fields = {
            "benchmark": tones,
            "method": method,
            "protocol": PROTOCOL,
            "store": tmp_path,
            "backbone": str(folder),
        }
        return Chain(ChainConfig.model_validate(fields), tmp_path / "trial").addresses()

    write_clap(tmp_path / "other")
    path = tmp_path / "other/tokenizer.json"
    path.write_text(path.read_text() + "\n")
    assert addresses("simplecil", clap) == addresses("simplecil", tmp_path / "other")
    assert addresses("clap-text", clap) != addresses("clap-text", tmp_path / "other")
