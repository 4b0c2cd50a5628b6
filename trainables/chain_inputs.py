"""Opens what a chain reads: clips, front end and backbone."""

from typing import Any

from datasets.benchmark.shards import Shards
from datasets.utils.location import Location
from trainables.chain_config import ChainConfig
from trainables.learners.features import Features
from trainables.methods.outside import digest_of
from trainables.methods.registry import find_method
from trainables.networks.backbones.backbone import WaveTransform
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.device import pick_device
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import ClipFormat
from trainables.store.arrays import ArrayStore


def open_features(config: ChainConfig) -> tuple[Features, Shards]:
    """Opens the inputs of a chain: the clips of the benchmark, the front end and the backbone.

    Raises:
        EarshotError: the benchmark or the backbone cannot be read, or the device is not available.
    """
    shards = Shards(config.benchmark)
    device = pick_device(config.device)
    clips = ClipFormat(shards.sample_rate, shards.manifest.num_samples)
    needs_backbone = find_method(config.method, config.method_code).backbone
    backbone = load_backbone(config.backbone_spec, clips, str(device)) if needs_backbone else None
    frontend: WaveTransform = (
        backbone.frontend if backbone else FrontEnd(config.frontend, clips.sample_rate, clips.num_samples, device)
    )
    store = ArrayStore(Location.of(config.store) / "features")
    features = Features(shards, frontend, backbone, store, device, config.precision, code_digest(config))
    return features, shards


def code_digest(config: ChainConfig) -> str:
    """SHA-256 hex of the code of a method from outside; empty for one of Earshot."""
    return digest_of(config.method_code) if config.method_code else ""


def inputs_of(config: ChainConfig) -> tuple[Any, ...]:
    """The part of a configuration that `open_features` depends on."""
    needs_backbone = find_method(config.method, config.method_code).backbone
    inputs = (config.benchmark, config.frontend, config.backbone_spec, config.device, config.precision, config.store)
    return (needs_backbone, code_digest(config), *inputs)
