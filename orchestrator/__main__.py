"""Few-shot class-incremental audio classification experiments on Ray.

    earshot COMMAND --help
    earshot completion bash > ~/.local/share/bash-completion/completions/earshot
    earshot completion zsh > ~/.zfunc/_earshot          (with fpath+=~/.zfunc before compinit)

`earshot sweep` is also called `python -m orchestrator.sweep`, and likewise the other commands.
"""

import argparse
import importlib
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import shtab

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.suggestion import suggestion
from orchestrator import lists
from orchestrator.lists import LISTS

COMMANDS = {
    "prepare": ("orchestrator.prepare", "cut a corpus of recordings into a benchmark of clips"),
    "audit": ("orchestrator.audit", "find defects of a benchmark"),
    "sweep": ("orchestrator.sweep", "run a sweep: search space x seeds"),
    "runs": ("orchestrator.runs", "list the runs, the latest first"),
    "report": ("orchestrator.report", "write a page, tables and figures of runs"),
    "compare": ("orchestrator.compare", "test differences between methods or runs for significance"),
    "export": ("orchestrator.export", "export a trained chain to a folder"),
    "predict": ("orchestrator.predict", "classify recordings with an exported chain"),
    "stages": ("orchestrator.stages", "list, verify and clean the store of stages and embeddings"),
    "chain": ("trainables.chain", "run one chain, without Ray"),
    "pretrain": ("trainables.pretrain", "pretrain a backbone from scratch"),
}
"""Name: module and summary."""

EXIT_STATUSES = {
    0: "completed",
    1: "completed, but something failed: trials of a sweep, findings that match audit --fail-on, recordings that"
    " predict could not read, damage that stages verify found",
    2: "bad input or usage",
    3: "the budget of a sweep was used up",
    129: "interrupted (SIGHUP)",
    130: "interrupted (Ctrl-C)",
    143: "interrupted (SIGTERM)",
}
"""Exit statuses of all commands."""

SHELLS = ("bash", "zsh")
_FILE_PLACEHOLDERS = ("DIR", "RUN", "FILE", "PATH", "PLACE", "BENCHMARK")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot`, and `python -m orchestrator`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words else "--help"
    if name in COMMANDS:
        status: int = importlib.import_module(COMMANDS[name][0]).main(words[1:])
        return status
    if name in LISTS:
        return int(lists.main(words))
    if name == "completion" and words[1:2] and words[1] in SHELLS:
        print(completion(words[1]))
        return 0
    if name in ("-h", "--help", "--version"):
        _parser().parse_args([name])
    message = f"completion: expected one of {', '.join(SHELLS)}"
    if name != "completion":
        message = f"no command '{name}'; {suggestion(name, (*COMMANDS, *LISTS, 'completion', '--help', '--version'))}"
    print(f"error: {message}", file=sys.stderr)
    return 2


def completion(shell: str) -> str:
    """A script that completes commands, options and their values.

    Args:
        shell: `bash` or `zsh`.
    """
    program = _parser()
    subparsers = program.add_subparsers(metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command: CommandLine = importlib.import_module(module).parser()
        _add_values(command)
        subparsers.add_parser(name, help=text, parents=[command], add_help=False)
    for name, (_, text, _) in LISTS.items():
        subparsers.add_parser(name, help=text).add_argument("--json", action="store_true")
    subparsers.add_parser("completion", help="print a completion script").add_argument("shell", choices=SHELLS)
    script: str = shtab.complete(program, shell)
    # a space or backbone may also be a file: if no known name matches, the shell completes files
    return script.replace("complete -o bashdefault", "complete -o bashdefault -o default")


def _parser() -> CommandLine:
    summaries = {name: text for name, (_, text, *_) in [*COMMANDS.items(), *LISTS.items()]}
    commands = "\n".join(f"  {name:<12}{text}" for name, text in summaries.items())
    statuses = "\n".join(
        textwrap.fill(f"  {status:<12}{text}", 100, subsequent_indent=" " * 14, break_on_hyphens=False)
        for status, text in EXIT_STATUSES.items()
    )
    return CommandLine(
        "orchestrator",
        usage="%(prog)s COMMAND [options]",
        description=f"{__doc__}\ncommands:\n{commands}\n\nexit statuses:\n{statuses}\n",
    )


def _add_values(command: argparse.ArgumentParser) -> None:
    """Adds the values that a shell can complete to the arguments of a command."""
    from datasets.benchmark.protocol import NAMED
    from recipes.files import shipped as recipes
    from search_spaces.files import shipped as spaces
    from trainables.methods.registry import method_names
    from trainables.networks.shipped import shipped as backbones
    from trainables.networks.specs import RANDOM, RESNET

    values: dict[str, Iterable[str]] = {
        "method": method_names(),
        "protocol": NAMED,
        "space": spaces(),
        "recipe": recipes(),
        "backbone": (*backbones(), *RANDOM, RESNET),
    }
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subcommand in action.choices.values():
                _add_values(subcommand)
        elif action.dest in values and action.choices is None:
            action.choices = list(values[action.dest])
        elif action.type is Path or action.metavar in _FILE_PLACEHOLDERS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
