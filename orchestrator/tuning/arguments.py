"""The command line of a sweep: arguments -> SweepConfig. Imports neither PyTorch nor Ray."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.benchmark.protocol import NAMED, Protocol
from datasets.utils.cli import CommandLine, local_path
from datasets.utils.errors import EarshotError
from datasets.utils.options import add_options
from datasets.utils.suggestion import suggestion
from datasets.utils.text import printable, typed_path
from datasets.utils.validation import read_yaml, validated
from orchestrator.results.run_folder import RunFolder
from orchestrator.tuning.config import SweepConfig
from recipes.files import Recipe, recipe_file, split_recipe
from trainables.networks.specs import is_factory, split_options

DEFAULTS = SweepConfig.model_fields
LAUNCH_SETTINGS = ("budget", "show", "dry_run")
"""Settings of one launch, which a resumed run does not take over."""


def parser(description: str | None = None) -> CommandLine:
    """The command line of a sweep.

    Args:
        description: beginning of the help.
    """
    command = CommandLine("orchestrator.sweep", usage="%(prog)s [--config FILE] [options]", description=description)
    command.add_argument("--config", type=local_path, metavar="FILE", help="YAML with any of these settings")
    command.add_argument("--recipe", metavar="NAME", help="a published setting of earshot recipes, as --config")
    command.add_argument("--resume", metavar="RUN", help="resume a run: its folder, its name in --runs, or latest")
    groups = add_options(command, SweepConfig)
    add_options(groups["protocol"], Protocol, exclude={"name"}, show_defaults=False)
    return command


def parse(arguments: Sequence[str] | None = None) -> SweepConfig:
    """The configuration of a command line.

    Raises:
        EarshotError: a key or value is invalid.
    """
    return configuration(parser().parse_args(arguments))


def configuration(options: argparse.Namespace) -> SweepConfig:
    """The configuration of parsed arguments: defaults, overridden by `--config`, overridden by the other options.

    Raises:
        EarshotError: a key or value is invalid.
    """
    return validated(SweepConfig, _values(options), str(_config_file(options) or "command line"))


def shows_json(options: argparse.Namespace) -> bool:
    """Whether the output is to be JSON; known even if other settings are invalid."""
    try:
        return bool(_values(options).get("show") == "json")
    except EarshotError:
        return vars(options).get("show") == "json"


def _values(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of the file or the resumed run, overridden by those of the command line."""
    settings = {key: value for key, value in vars(options).items() if key not in ("config", "recipe", "resume")}
    file = _config_file(options)
    if file and options.resume:
        option = "--config" if options.config else "--recipe"
        raise EarshotError(f"--resume: uses the configuration of the run, so it takes no {option}")
    values = _file(file)[1] if file else {}
    if options.resume:
        values = _stored(options.resume, settings.pop("runs", DEFAULTS["runs"].default))
        _check_address(values, settings)
        _check_code(values, settings)
    changes = {key: settings.pop(key) for key in list(settings) if key in Protocol.model_fields and key != "name"}
    if isinstance(changes.get("class_order"), str) and changes["class_order"][:1].isdigit():
        changes["class_order"] = changes["class_order"].split(",")
    if changes:
        protocol = settings.get("protocol", values.get("protocol", "ffcac-25"))
        if isinstance(protocol, str) and protocol not in NAMED:
            raise EarshotError(f"protocol: {protocol!r} is not known; {suggestion(protocol, NAMED)}")
        settings["protocol"] = {**(protocol if isinstance(protocol, dict) else {"name": protocol}), **changes}
    return {**values, **settings}


def _config_file(options: argparse.Namespace) -> Path | None:
    """The file of `--config` or `--recipe`."""
    if not options.recipe:
        return Path(options.config) if options.config else None
    if options.config:
        raise EarshotError("--recipe: is a configuration itself, so it takes no --config")
    return recipe_file(options.recipe)


def prepare_commands(options: argparse.Namespace) -> tuple[str, ...]:
    """The commands that make the benchmark, where the configuration file is a recipe and the benchmark is its own.

    Raises:
        EarshotError: the file is invalid.
    """
    file = _config_file(options)
    if not file or "benchmark" in vars(options):
        return ()
    recipe, _ = _file(file)
    return recipe.prepare if recipe else ()


def _file(path: Path) -> tuple[Recipe | None, dict[str, Any]]:
    """What a configuration file says about a recipe, and its settings."""
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise EarshotError(f"{path}: expected settings with values, found {type(values).__name__}")
    return split_recipe(values, str(path))


def resume_command(run: Path, config: SweepConfig) -> str:
    """The command that resumes a run where it has run before.

    Args:
        run: its folder.
        config: of the sweep. The address of a cluster, and backbones with code of their own, are part of the command.
    """
    options: list[tuple[str, str]] = []
    if config.address != DEFAULTS["address"].default:
        options.append(("--address", config.address))
    if _any_code(config.backbone) or config.trust_remote_code is not None:
        options += [("--backbone", backbone) for backbone in config.backbone]
    if config.trust_remote_code is not None:
        options.append(("--trust-remote-code", config.trust_remote_code))
    return " ".join(
        ["earshot sweep --resume", shlex.quote(typed_path(run)), *(f"{name} {shlex.quote(it)}" for name, it in options)]
    )


def _any_code(backbones: Sequence[str]) -> bool:
    split = map(split_options, backbones)
    return any(is_factory(name) or "trust_remote_code" in options for name, options in split)


def _check_address(stored: dict[str, Any], settings: dict[str, Any]) -> None:
    """Checks that the user, not the folder of a run, says which cluster is joined: it receives the user's token.

    Args:
        stored: the configuration of the run.
        settings: those of the command line.

    Raises:
        EarshotError: only the run names the cluster.
    """
    local = DEFAULTS["address"].default
    address = stored.get("address", local)
    # "auto": the cluster of this machine or of RAY_ADDRESS, whatever the run says
    if address in (local, "auto", os.environ.get("RAY_ADDRESS")) or "address" in settings:
        return
    run = Path(stored["runs"]) / stored["name"]
    text = printable(str(address))
    raise EarshotError(
        f"{run / 'sweep.json'}: the run used the Ray cluster {text}, and a cluster that receives your token is not "
        f"taken from a run folder; add --address {text} to join it, or --address {local} to run on this machine"
    )


def _check_code(stored: dict[str, Any], settings: dict[str, Any]) -> None:
    """Checks that the user, not the folder of a run, names the code of backbones that will run.

    Args:
        stored: the configuration of the run.
        settings: those of the command line.

    Raises:
        EarshotError: only the run names it.
    """
    value = stored.get("backbone", "")
    backbones = [str(backbone) for backbone in value] if isinstance(value, list) else [str(value)]
    revision = stored.get("trust_remote_code")
    is_code = _any_code(backbones) or revision is not None or "trust_remote_code" in settings
    is_named = "backbone" in settings and (revision is None or "trust_remote_code" in settings)
    if not is_code or is_named:
        return
    run = Path(stored["runs"]) / stored["name"]
    options = [f"--backbone {printable(backbone)}" for backbone in backbones]
    options += [f"--trust-remote-code {printable(str(revision))}"] if revision is not None else []
    raise EarshotError(
        f"{run / 'sweep.json'}: the run used the network of {printable(', '.join(backbones))}, and code is not "
        f"taken from a run folder; add {' '.join(options)}"
    )


def _stored(run: str, runs: Path) -> dict[str, Any]:
    """The configuration that a run was started with."""
    folder = RunFolder.find(run, runs, exact=True)
    stored = folder.where()
    if not stored:
        raise EarshotError(
            f"{folder.path / 'sweep.json'}: does not contain the configuration of the run; start it again with its "
            "own command"
        )
    kept = {key: value for key, value in stored.items() if key not in LAUNCH_SETTINGS}
    return {**kept, "runs": folder.path.parent, "name": folder.path.name}
