"""Checks that a checkpoint holds all parameters of the network that it is loaded into, and no unknown ones.

Without them, `transformers` draws the parameters that it does not find at random, and ignores the ones that it does not
know: a checkpoint of another architecture then loads as a network with random weights.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from datasets.utils.errors import EarshotError
from datasets.utils.text import plural, printable

ADVICE = "give a checkpoint of that architecture, or another --backbone"


@dataclass(frozen=True)
class Architecture:
    """A kind of network that checkpoints are loaded into.

    Attributes:
        name: for messages.
        model_type: in config.json of `transformers`.
        ignored: pattern of parameters of a checkpoint that the network does not use: heads and poolers of models that
            are built on it.
    """

    name: str
    model_type: str
    ignored: re.Pattern[str]


AST = Architecture(
    "Audio Spectrogram Transformer",
    "audio-spectrogram-transformer",
    re.compile(
        r"(module\.)?(classifier|pooler)\.|(.*\.)?position_ids$"  # of transformers
        r"|(module\.)?(mlp_head|ln|fc|v\.head|v\.head_dist)\."  # of the original code, and of the released EDE
    ),
)


def check_model_type(shown: str, architecture: Architecture, model_type: object, advice: str = ADVICE) -> None:
    """Checks `model_type` of a config.json; files without one are judged by their parameters.

    Raises:
        EarshotError: it is that of another architecture.
    """
    if model_type not in (None, architecture.model_type):
        found = printable(str(model_type)[:100])
        raise EarshotError(
            f"{shown}: expected a checkpoint of an {architecture.name} (model_type {architecture.model_type}), found "
            f"model_type {found}; {advice}"
        )


def check_parameters(
    shown: str,
    architecture: Architecture,
    missing: Collection[str],
    unexpected: Iterable[str],
    mismatched: Collection[str] = (),
    advice: str = ADVICE,
) -> None:
    """Checks the differences between the parameters of a network and those of a checkpoint.

    Args:
        shown: name of the checkpoint for the message.
        architecture: of the network.
        missing: parameters that the checkpoint lacks.
        unexpected: parameters of the checkpoint that the network lacks; `ignored` ones are allowed.
        mismatched: parameters of other shapes.
        advice: what to do, for the message.

    Raises:
        EarshotError: the checkpoint is of another architecture.
    """
    left = [key for key in unexpected if not architecture.ignored.match(key)]
    found = [
        _counted("without", missing),
        _counted("with", left, "unknown "),
        _counted("with", mismatched, "differently shaped "),
    ]
    if any(found):
        raise EarshotError(
            f"{shown}: expected a checkpoint of an {architecture.name}, found one {' and '.join(filter(None, found))}; "
            f"{advice}"
        )


def load_parameters(
    network: nn.Module,
    state: Mapping[str, Tensor],
    shown: str,
    architecture: Architecture,
    *,
    assign: bool = False,
    advice: str = ADVICE,
) -> None:
    """Loads all parameters of a network.

    Args:
        network: of the architecture.
        state: names as those of the network.
        shown: name of the checkpoint for the message.
        architecture: of the network.
        assign: whether the network takes over the tensors rather than a copy.
        advice: what to do, for the message.

    Raises:
        EarshotError: a parameter is missing, unknown or has another shape.
    """
    expected = network.state_dict()
    common = expected.keys() & state.keys()
    mismatched = [key for key in sorted(common) if expected[key].shape != state[key].shape]
    missing, unexpected = (sorted(keys) for keys in (expected.keys() - state.keys(), state.keys() - expected.keys()))
    check_parameters(shown, architecture, missing, unexpected, mismatched, advice)
    network.load_state_dict({key: state[key] for key in common}, assign=assign)


def _counted(word: str, keys: Collection[str], kind: str = "") -> str:
    """ "without 3 parameters (such as layers.0.mlp.fc1.bias)"; empty for no parameters."""
    if not keys:
        return ""
    return f"{word} {plural(len(keys), kind + 'parameter')} (such as {printable(min(keys)[:100])})"
