"""clap-text: names and prototypes mixed, and the weight that leave-one-out chooses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.validation import validated
from tests.support.chain_runs import PROTOCOL
from tests.support.encoders import write_clap
from tests.support.learning import generator, sessions, trained
from trainables.chain_config import ChainConfig
from trainables.learners.features import Features
from trainables.methods.clap_text import (
    STEPS,
    ClapText,
    ClapTextSettings,
    best_weight,
    text_of,
    wins_without_itself,
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
    wins = wins_without_itself(embeddings, columns, prototypes, texts)
    # (0.6, 0.8): text cosines (1 / 1.25 ** 0.5, -0.2 / 1.25 ** 0.5), prototype cosines (0.6, 0.8): right while
    # (1 - w) 1.2 / 1.25 ** 0.5 > 0.2 w, that is up to w = 0.843
    assert wins[0, 1].tolist() == [2] * 17 + [1] * 4
    # (0, 1): both names are equally near, which is no win; any weight of the prototypes decides
    assert wins[1, 0].tolist() == [0] + [2] * STEPS
    assert wins[0, 0].sum() == wins[1, 1].sum() == 0
    assert best_weight(wins.flatten(0, 1)) == 8 / 20  # the middle one of 1 / 20 to 16 / 20


def test_one_shot_leaves_the_weight_in_the_middle() -> None:
    wins = wins_without_itself(torch.eye(2), torch.tensor([0, 1]), torch.eye(2), torch.eye(2))
    assert wins.sum() == 0 and best_weight(wins.flatten(0, 1)) == 0.5
    assert best_weight(wins[:0].flatten(0, 1)) == 0.5  # of no pairs


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


def test_a_forgotten_class_leaves_no_trace(features: Features) -> None:
    """The scores are those of a chain in which it never was, up to rounding; also in another process."""
    base, second, third = sessions(features)
    gone = (base.classes[1], second.classes[0])
    learner = learned(features, 2)
    for clips in gone:
        learner.forget(clips)
    resumed, without = learned(features, 0), learned(features, 0)
    resumed.load(learner.state())
    for one in (learner, resumed):
        one.learn(third, generator(2))
    for session in (base, second, third):
        kept = tuple(clips for clips in session.classes if clips not in gone)
        without.learn(replace(session, classes=kept), generator(session.index))
    assert learner.classes == without.classes == resumed.classes
    assert learner.weight == without.weight == best_weight(learner.wins)
    assert torch.equal(learner.wins, without.wins) and learner.wins.sum() > 0
    for head, scores in learner.score((0, 20, 50)).items():
        torch.testing.assert_close(scores, without.score((0, 20, 50))[head])
        assert torch.equal(scores, resumed.score((0, 20, 50))[head])


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
