"""Checks of the names in a configuration that need neither PyTorch nor Ray, so that typos are reported at once."""

import os
from collections.abc import Sequence
from pathlib import Path

from datasets.benchmark.manifest import FILE_NAME, Manifest
from datasets.utils.errors import EarshotError
from datasets.utils.installed import check_names
from datasets.utils.location import Location
from datasets.utils.own_code import OwnCode, find_code, is_code
from datasets.utils.suggestion import suggestion
from datasets.utils.text import is_uri
from orchestrator.results.run_folder import RunFolder
from orchestrator.tuning.config import SweepConfig
from search_spaces.files import space_file
from trainables.methods.registry import method_code, method_names
from trainables.networks.installed_backbones import shipped_names


def check_inputs(config: SweepConfig, commands: Sequence[str] = ()) -> None:
    """Checks that the methods, the search space, the benchmark and the code of a network of the user's own exist, and
    that a run of the given name is not that of another sweep, as far as that can be known without the search space.

    A benchmark behind a URI is not checked, because that may take seconds.

    Args:
        config: of the sweep.
        commands: that make its benchmark, where a recipe says so.

    Raises:
        EarshotError: one of them does not exist, or the name is taken.
    """
    for method in (*config.method, *(config.space if isinstance(config.space, dict) else ())):
        method_code(method)
    check_names("method", config.method, method_names())
    check_names("backbone", [spec.name for spec in config.backbones], shipped_names())
    if isinstance(config.space, Path):
        space_file(config.space)
    own_code(config)
    if is_uri(config.benchmark):
        return
    benchmark = find_benchmark(config, commands)
    if config.name is not None and (benchmark / FILE_NAME).size() is not None:
        what = {**config.what(), "benchmark": Manifest.load(benchmark).fingerprint}
        if not set(config.method) <= set(method_names()):
            del what["method"]  # the names of methods from outside are known when they are imported
        RunFolder((config.runs / config.name).absolute()).check_same_sweep(what, partial=True)


def own_code(config: SweepConfig, methods: Sequence[str] = ()) -> list[OwnCode]:
    """The code of backbones and methods that are not part of Earshot, without running it.

    Args:
        config: of the sweep.
        methods: code of methods (`trainables.methods.registry.method_code`); empty texts are left out.

    Raises:
        EarshotError: there is no such file or module.
    """
    networks = [find_code(spec.name) for spec in config.backbones if is_code(spec.name)]
    return networks + [find_code(code, "method") for code in dict.fromkeys(methods) if code]


def find_benchmark(config: SweepConfig, commands: Sequence[str] = ()) -> Location:
    """The folder of the benchmark; that of the demo may not be prepared yet.

    Args:
        config: of the sweep.
        commands: that make the benchmark, if they are known.

    Raises:
        EarshotError: there is none.
    """
    place = Location.of(config.benchmark)
    if (place / FILE_NAME).size() is not None:
        return place
    if place.local is None:
        raise EarshotError(f"benchmark {place}: no {FILE_NAME} there; make it with earshot prepare --out {place}")
    named = config.data / config.benchmark
    inside = Path(os.path.normpath(named)).is_relative_to(os.path.normpath(config.data))  # links may lead outside
    if inside and ((named / FILE_NAME).exists() or config.benchmark == "demo"):
        return Location.of(named)
    known = [path.parent.name for path in config.data.glob(f"*/{FILE_NAME}")]
    similar = suggestion(config.benchmark, known) if known else ""
    raise EarshotError(
        f"benchmark '{config.benchmark}': no {FILE_NAME} in {place} nor in {named}; "
        + (f"{similar} Or " if similar.startswith("did") else "")
        + f"make it with: {'; '.join(commands) or f'earshot prepare CORPUS --source DIR --out {named}'}"
    )
