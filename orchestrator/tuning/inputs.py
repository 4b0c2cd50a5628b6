"""Checks of the names in a configuration that need neither PyTorch nor Ray, so that typos are reported at once."""

import os
from collections.abc import Sequence
from pathlib import Path

from datasets.benchmark.manifest import FILE_NAME
from datasets.utils.errors import EarshotError
from datasets.utils.installed import check_names
from datasets.utils.location import Location
from datasets.utils.own_code import OwnCode, find_code, is_code
from datasets.utils.suggestion import suggestion
from datasets.utils.text import is_uri
from orchestrator.tuning.config import SweepConfig
from search_spaces.files import space_file
from trainables.methods.registry import method_code, method_names
from trainables.networks.installed_backbones import shipped_names


def check_inputs(config: SweepConfig) -> None:
    """Checks that the methods, the search space, the benchmark and code of the user's own exist.

    A benchmark behind a URI is not checked, because that may take seconds.

    Raises:
        EarshotError: one of them does not exist.
    """
    for method in config.method:
        method_code(method)
    check_names("method", config.method, method_names())
    check_names("backbone", [spec.name for spec in config.backbones], shipped_names())
    if config.space is not None:
        space_file(config.space)
    own_code(config)
    if not is_uri(config.benchmark):
        find_benchmark(config)


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


def find_benchmark(config: SweepConfig) -> Location:
    """The folder of the benchmark; that of the demo may not be prepared yet.

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
        + f"make it with: earshot prepare CORPUS --source DIR --out {named}"
    )
