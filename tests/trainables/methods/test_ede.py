"""EDE: trained parts, exemplars, the dual embedding, and the changes of `compat: reference`."""

from typing import Any

import pytest
import torch
from torch import nn

from datasets.utils.errors import EarshotError
from tests.support.learning import DIM, generator, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.ede import EDE, EDESettings
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> EDE:
    quick = {"base_epochs": 2, "base_lr": 0.05, "incremental_epochs": 2, "incremental_lr": 0.05, **settings}
    return trained(EDE(EDESettings.model_validate(quick), features), count)


def part_digests(learner: EDE) -> dict[str, str]:
    assert learner.stack.shared is not None
    digests = {f"S{index}": weights_digest(part) for index, part in enumerate(learner.stack.parts)}
    return {**digests, "G": weights_digest(learner.stack.shared)}


def test_the_base_session_trains_g_and_later_ones_only_their_part(features: Features) -> None:
    pretrained = weights_digest(features.backbone)
    learner = learned(features, 1)
    after_base = part_digests(learner)
    assert after_base["G"] != pretrained
    assert weights_digest(features.backbone) == pretrained  # P is always frozen
    learner.learn(sessions(features)[1], generator(1))
    after_second = part_digests(learner)
    assert {name: after_second[name] for name in after_base} == after_base
    assert after_second["S1"] != after_base["S0"]


def test_a_new_part_starts_as_a_copy_of_the_previous_one(features: Features) -> None:
    digests = part_digests(learned(features, 2, incremental_epochs=0))
    assert digests["S1"] == digests["S0"]


def test_sizes_grow_by_one_embedding_and_the_new_classes_a_session(features: Features) -> None:
    for count in (1, 2, 3):
        learner = learned(features, count, incremental_epochs=0)
        state = learner.state()
        head, means = state.parts["head"], state.parts["means"]
        assert tuple(head["weight"].shape) == (2 * count, DIM * count)
        assert tuple(means["prototypes"].shape) == (2 * count, DIM * (count + 1))
        assert tuple(means["exemplar_means"].shape) == (2 * count, DIM * count)
        backbone, part = size(features.backbone), size(features.backbone.new_part())
        others = sum(value.numel() for values in (head, means) for value in values.values())
        # scoring uses all that is stored (the release stores one more ViT per session)
        assert learner.parameter_counts() == (2 * backbone + count * part + others,) * 2


@pytest.mark.parametrize("combine", ["concatenate", "normalised"])
@pytest.mark.parametrize("prototypes", ["kept", "exemplars"])
def test_dual_embedding_and_prototypes_by_definition(features: Features, prototypes: str, combine: str) -> None:
    """d(x) = [mean LN(P(x)); S_0(G(x)); S_1(G(x))]; old classes from exemplars, or for S_1 alone."""
    learner = learned(features, 2, prototypes=prototypes, combine=combine)
    base, second = sessions(features)[:2]

    def embed(positions: tuple[int, ...]) -> torch.Tensor:
        assert learner.stack.shared is not None
        with torch.inference_mode():
            inputs = features.inputs(positions)[:]
            tokens = learner.stack.shared(inputs).half().float()  # as they are stored
            pretrained = features.backbone.pool(features.backbone(inputs))
            return torch.cat([pretrained, *(part(tokens) for part in learner.stack.parts)], dim=1)

    exemplars = dict(zip(learner.exemplars.group_labels[0], learner.exemplars.groups[0], strict=True))
    for row, of_class in enumerate((*base.classes, *second.classes)):
        expected = embed(of_class.support).mean(dim=0)
        if of_class.label in base.labels:
            first = 2 * DIM if prototypes == "kept" else 0
            expected[first:] = embed((exemplars[of_class.label],))[0, first:]
        torch.testing.assert_close(learner.prototypes[row], expected, atol=1e-5, rtol=1e-5)
    query = base.classes[0].query
    vectors, means = embed(query)[:, None], learner.prototypes[None]
    if combine == "normalised":
        vectors, means = vectors.unflatten(2, (3, DIM)), means.unflatten(2, (3, DIM))
    expected = 16 * nn.functional.cosine_similarity(vectors, means, dim=-1)
    if combine == "normalised":
        expected = (expected[..., 0] + expected[..., 1:].mean(dim=-1)) / 2
    torch.testing.assert_close(learner.score(query)["prototype"], expected, atol=1e-4, rtol=1e-4)


def test_values_of_frozen_parts_are_kept_exactly(features: Features) -> None:
    """A later session appends columns to the rows of old classes and changes none."""
    learner = learned(features, 2)
    before = learner.prototypes
    learner.learn(sessions(features)[2], generator(2))
    assert torch.equal(learner.prototypes[:4, : 3 * DIM], before)


def test_exemplars_come_from_the_support_except_with_compat(features: Features) -> None:
    ours = learned(features, 3)
    for session, exemplars in zip(sessions(features), ours.exemplars.groups, strict=True):
        assert len(exemplars) == 2
        assert set(exemplars) <= set(session.support)
    released = learned(features, 3, compat="reference")
    pools = {clip for session in sessions(features) for of_class in session.classes for clip in of_class.pool}
    chosen = {clip for group in released.exemplars.groups for clip in group}
    assert chosen <= pools
    assert not chosen <= {clip for session in sessions(features) for clip in session.support}


def test_the_default_head_of_compat_is_the_linear_one() -> None:
    assert EDE.default_head(EDESettings()) == "prototype"
    assert EDE.default_head(EDESettings.model_validate({"compat": "reference"})) == "linear"
    mixed = EDESettings.model_validate({"compat": "reference", "exemplar_pool": "support"})
    assert mixed.exemplar_pool == "support"
    assert (mixed.prototypes, mixed.combine, mixed.part_initialisation) == ("exemplars", "concatenate", "torch")


def test_the_first_part_starts_as_its_setting_says(features: Features) -> None:
    """PyTorch's initialisation is uniform within 1 / sqrt(inputs), for weights and biases; LayerNorms are the same."""
    kinds = ("vit", "torch")
    parts = {kind: learned(features, 1, part_initialisation=kind, base_epochs=0).stack.parts[0] for kind in kinds}
    weight, bias = (
        {
            kind: values.detach()
            for kind, part in parts.items()
            for values in [part.get_parameter(f"block.mlp.fc2.{name}")]
        }
        for name in ("weight", "bias")
    )
    bound = (4 * DIM) ** -0.5
    assert weight["vit"].std().item() == pytest.approx(0.02, rel=0.05)
    assert weight["torch"].std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert bound * 0.99 < weight["torch"].abs().max().item() <= bound
    assert not bias["vit"].any()
    assert 0.5 * bound < bias["torch"].abs().max().item() <= bound
    assert torch.equal(parts["torch"].norm.weight, torch.ones(DIM))


def test_training_fits_the_support(features: Features) -> None:
    """After enough steps on two classes of tones the linear head classifies the support correctly."""
    learner = learned(features, 1, base_epochs=150, base_lr=0.01, base_milestones=())
    (base, *_) = sessions(features)
    columns = [learner.classes.index(label) for label in base.support_labels]
    assert learner.score(base.support)["linear"].argmax(dim=1).tolist() == columns


def test_mixup_changes_the_base_session(features: Features) -> None:
    assert part_digests(learned(features, 1, base_mixup=1.0)) != part_digests(learned(features, 1))


def test_a_loss_that_is_not_finite_raises(features: Features) -> None:
    with pytest.raises(
        EarshotError, match=r"session 1, epoch \d+ of 50: the loss is (nan|inf); lower the learning rate"
    ):
        learned(features, 2, incremental_epochs=50, incremental_lr=1e12)
