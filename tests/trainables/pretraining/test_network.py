"""The network in training and the plain AST that it is exported to are equivalent."""

import pytest
import torch

from trainables.networks.backbones.ast import ASTBackbone
from trainables.pretraining.network import Network
from trainables.pretraining.objective import Prototypes
from trainables.pretraining.recipe import SIZES, Size

SMALL = Size(32, 2, 2)


def briefly_trained(size: Size = SMALL) -> Network:
    """Weights and running statistics that differ from the initial ones, as after training."""
    network = Network(size, 0)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    for _ in range(10):
        network(torch.randn(8, 98, 128, generator=generator) + 0.3)
    return network.eval()


@pytest.mark.parametrize("frames", [98, 198, 998, 1024])
def test_embeddings_of_the_export_are_those_of_the_network(frames: int):
    network = briefly_trained()
    inputs = torch.randn(3, frames, 128, generator=torch.Generator().manual_seed(2))
    backbone = ASTBackbone(network.exported(), frames)
    with torch.inference_mode():
        assert torch.allclose(backbone.pool(backbone(inputs)), network(inputs), atol=2e-4)


def test_a_network_can_be_loaded_from_its_export():
    network, other = briefly_trained(), Network(SMALL, 7).eval()
    other.load_backbone(network.exported())
    inputs = torch.randn(3, 198, 128, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        assert torch.allclose(other(inputs), network(inputs), atol=2e-4)


@pytest.mark.parametrize("size", [Size(32, 3, 2), Size(64, 2, 2), Size(32, 2, 4), Size(32, 2, 2, stride=10)])
def test_loading_another_architecture_raises(size: Size):
    network = Network(SMALL, 0)
    before = network.band.clone()
    with pytest.raises(ValueError, match="architecture"):
        network.load_backbone(Network(size, 0).eval().exported())
    assert torch.equal(network.band, before)


def test_a_clip_may_be_longer_than_the_grid():
    backbone = ASTBackbone(briefly_trained().exported(), 1500)
    with torch.inference_mode():
        assert torch.isfinite(backbone(torch.randn(1, 1500, 128))).all()


def test_a_view_of_all_patches_in_the_middle_changes_nothing():
    network = briefly_trained()
    inputs = torch.randn(2, 198, 128, generator=torch.Generator().manual_seed(2))
    view = network.view(inputs, 1.0, torch.Generator().manual_seed(3))
    middle = (len(network.step) - len(view.steps)) // 2
    centred = type(view)(torch.arange(middle, middle + len(view.steps)), view.patches)
    with torch.inference_mode():
        assert torch.allclose(network(inputs, centred), network(inputs), atol=1e-4)


def test_a_view_keeps_the_requested_fraction_of_patches():
    network = Network(SMALL, 0)
    view = network.view(torch.zeros(4, 198, 128), 0.25, torch.Generator().manual_seed(0))
    assert view.patches.shape == (4, 24)  # of 8 x 12
    assert all(len(set(row)) == 24 for row in view.patches.tolist())
    assert int(view.steps[0]) >= 0 and int(view.steps[-1]) < len(network.step)


def test_initial_weights_depend_on_the_seed():
    first, same, other = Network(SMALL, 0), Network(SMALL, 0), Network(SMALL, 1)
    assert torch.equal(first.band, same.band) and not torch.equal(first.band, other.band)


def test_the_size_tiny_fits_the_limit_of_packaged_weights():
    count = sum(parameter.numel() for parameter in Network(SIZES["tiny"], 0).parameters())
    assert 2 * count < 12e6  # bytes in 16 bits


def test_the_objective_by_hand():
    """Two sources of two clips in the plane: each clip's own prototype is the other clip."""
    objective = Prototypes()
    objective.scale.data.fill_(0.0)  # a scale of 1
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-1.0, 0.0]])
    # clip 0: cosine 0 to its source (clip 1), -1 to the other; clip 1: 0 to its source, 0 to the other (a tie);
    # clips 2 and 3: 1 to their source, -sqrt(1/2) to the other, whose mean is (1/2, 1/2)
    losses = [torch.tensor([0.0, -1.0]), torch.tensor([0.0, 0.0]), *[torch.tensor([1.0, -(0.5**0.5)])] * 2]
    expected = torch.stack([-logits.log_softmax(0)[0] for logits in losses]).mean()
    loss, accuracy = objective(embeddings, 2)
    assert float(loss.detach()) == pytest.approx(float(expected), abs=1e-6)
    assert float(accuracy) in (0.75, 1.0)  # a tie may go either way
