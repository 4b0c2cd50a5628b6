"""Runs one chain, a base session and incremental sessions, in this process and without Ray.

    earshot chain --config chain.yaml --out DIR

Prints the accuracy after each session. DIR gets the same files as a trial of a sweep; `earshot report DIR` makes tables
and figures of them. A configuration:

    benchmark: data/mine
    method: ede
    settings: {base_epochs: 10}
    protocol: {base: 5, way: 2, shot: 3}
    seeds: {order: 0, support: 0, initialisation: 0}
    backbone: earshot-tiny
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.validation import read_yaml, validated


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("trainables.chain", description=__doc__)
    command.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML file, as above")
    command.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the record and the predictions"
    )
    return command


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m trainables.chain`."""
    options = parser().parse_args(arguments)
    values = read_yaml(options.config)  # before the imports: a wrong path fails at once
    from trainables.chain_config import ChainConfig
    from trainables.session_chain import Chain
    from trainables.session_results import SessionResults

    chain = Chain(validated(ChainConfig, values, str(options.config)), options.out.absolute())
    results = SessionResults(chain)
    while not chain.done:
        record = chain.step()
        result, head = results.after(record), chain.record.default_head
        splits = {"validation": f"val/{head}", "test": f"test/{head}"}  # none of validation without such clips
        accuracy = [f"{name} {100 * result[key]:.1f} %" for name, key in splits.items() if key in result]
        cost = "cached" if record.cached else f"{record.seconds:.1f} s"
        session = f"session {record.index + 1}/{len(chain.sessions)}"
        print(f"{session}  {len(record.classes)} new classes  {', '.join(accuracy)}  {cost}", flush=True)
    print(options.out / "trial.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
