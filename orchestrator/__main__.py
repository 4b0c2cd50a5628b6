"""All commands under one name: `earshot sweep ...` is `python -m orchestrator.sweep ...`.

    earshot COMMAND --help
    earshot completion bash > ~/.local/share/bash-completion/completions/earshot
    earshot completion zsh > ~/.zfunc/_earshot          (with fpath+=~/.zfunc before compinit)

Exit status of every command: 0 done, 1 done but something failed (trials of a sweep, what `audit --fail-on` names, a
recording that `predict` could not read, damage that `stages verify` found), 2 bad input or usage, 3 the budget of a
sweep was used up, 130 interrupted.
"""

import argparse
import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import shtab

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.suggestion import suggestion

COMMANDS = {
    "prepare": ("orchestrator.prepare", "cut a corpus of recordings into a benchmark of clips"),
    "audit": ("orchestrator.audit", "tell what is wrong with a benchmark"),
    "sweep": ("orchestrator.sweep", "run a sweep: search space x seeds"),
    "report": ("orchestrator.report", "one page, tables and figures of runs"),
    "compare": ("orchestrator.compare", "whether a difference between methods or runs is decided"),
    "export": ("orchestrator.export", "make a folder of a trained chain"),
    "predict": ("orchestrator.predict", "classify recordings with it"),
    "stages": ("orchestrator.stages", "look after the store of stages and embeddings"),
    "chain": ("trainables.chain", "run one chain, without Ray"),
    "pretrain": ("trainables.pretrain", "pretrain a backbone from scratch"),
}
SHELLS = ("bash", "zsh")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot`, and `python -m orchestrator`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words else "--help"
    if name in COMMANDS:
        status: int = importlib.import_module(COMMANDS[name][0]).main(words[1:])
        return status
    if name == "completion" and words[1:2] and words[1] in SHELLS:
        print(completion(words[1]))
        return 0
    if name in ("-h", "--help", "--version"):
        _parser().parse_args([name])
    told = f"completion: expected one of {', '.join(SHELLS)}"
    if name != "completion":
        told = f"no command '{name}'; {suggestion(name, (*COMMANDS, 'completion', '--help', '--version'))}"
    print(f"error: {told}", file=sys.stderr)
    return 2


def completion(shell: str) -> str:
    """A script that completes commands, options and their values.

    Args:
        shell: `bash` or `zsh`.
    """
    whole = _parser()
    verbs = whole.add_subparsers(metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        own: CommandLine = importlib.import_module(module).parser()
        _add_values(own)
        verbs.add_parser(name, help=text, parents=[own], add_help=False)
    verbs.add_parser("completion", help="print a script that completes this").add_argument("shell", choices=SHELLS)
    script: str = shtab.complete(whole, shell)
    # a space or backbone may also be a file: where no known name fits, the shell's own completion of files
    return script.replace("complete -o bashdefault", "complete -o bashdefault -o default")


def _parser() -> CommandLine:
    listed = "\n".join(f"  {name:<12}{text}" for name, (_, text) in COMMANDS.items())
    made = CommandLine("orchestrator", description=f"{__doc__}\ncommands:\n{listed}\n")
    made.prog = "earshot"
    made.usage = "earshot COMMAND [options]"
    return made


def _add_values(command: argparse.ArgumentParser) -> None:
    """Gives arguments the values that a shell can offer."""
    from datasets.benchmark.protocol import NAMED
    from search_spaces.loader import shipped as spaces
    from trainables.methods.registry import methods
    from trainables.networks.shipped import shipped
    from trainables.networks.specs import RANDOM

    values: dict[str, Iterable[str]] = {
        "method": methods(),
        "protocol": NAMED,
        "space": spaces(),
        "backbone": (*shipped(), *RANDOM),
    }
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                _add_values(verb)
        elif action.dest in values and action.choices is None:
            action.choices = list(values[action.dest])
        elif action.type is Path or action.metavar in ("DIR", "RUN", "FILE", "PATH", "PLACE", "BENCHMARK", "START"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
