"""Runs made by real chains, without Ray, as a sweep would leave them."""

from pathlib import Path
from typing import Any

import soundfile

from datasets.benchmark.protocol import Protocol
from datasets.benchmark.shards import Shards
from orchestrator.results.run_folder import RunFolder
from trainables.chain_config import ChainConfig
from trainables.methods.registry import find_method, methods
from trainables.records import SeedTriple
from trainables.session_chain import Chain

PROTOCOL = Protocol(base=2, way=2, shot=3)


def methods_on_an_ast() -> list[str]:
    """The methods that the default backbone has all capabilities for."""
    return sorted(name for name, method in methods().items() if "text" not in method.uses)


def quick(method: str) -> dict[str, Any]:
    """Settings that train for two epochs."""
    return {name: 2 for name in find_method(method).Settings.model_fields if name.endswith(("epochs", "episodes"))}


def config(tones: Path, store: Path, **changes: Any) -> ChainConfig:
    """A chain of EDE that trains for two epochs."""
    quick = {"base_epochs": 2, "incremental_epochs": 2, **changes.pop("settings", {})}
    fields = {"benchmark": tones, "method": "ede", "settings": quick, "protocol": PROTOCOL, "store": store}
    return ChainConfig.model_validate({**fields, **changes})


def write_run(
    runs: Path, benchmark: Path, method: str, name: str = "it", *, sessions: int | None = None, **changes: Any
) -> str:
    """Runs a chain, or only its first sessions, as a trial of the run `name`; the name of the trial."""
    folder = RunFolder(runs.resolve() / name)
    fields = {"benchmark": benchmark, "method": method, "settings": quick(method), "protocol": PROTOCOL}
    config = ChainConfig.model_validate({**fields, "store": folder.store, **changes})
    with folder.lock({}, {"benchmark": str(benchmark), "data": "data"}):
        chain = Chain(config, folder.trial(config.trial))
        while not chain.done and len(chain.record.sessions) != sessions:
            chain.step()
    return config.trial


def seeds(seed: int) -> SeedTriple:
    return SeedTriple(order=seed, support=seed, initialisation=seed)


def write_clips(folder: Path, benchmark: Path, split: str = "test") -> dict[str, Path]:
    """The clips of a split as WAV files, by clip id."""
    folder.mkdir(exist_ok=True)
    shards = Shards(benchmark)
    positions = shards.select(splits=[split])
    found = {}
    for position, wave in zip(positions, shards.audio(positions), strict=True):
        name = shards.table.clip_ids[position]
        found[name] = folder / f"{name}.wav"
        soundfile.write(found[name], wave, shards.sample_rate, subtype="PCM_16")
    return found
