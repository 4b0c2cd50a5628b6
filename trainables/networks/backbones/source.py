"""Where the weights of a backbone are, found by its name; imports no PyTorch.

earshot-tiny                                shipped with the package: small, pretrained on synthetic sources
random-tiny | random-small | random-base    an AST with random weights of a named size, always the same
weights.pth | weights.safetensors           a checkpoint with the parameter names of the original AST code
folder/                                     a folder saved by `transformers`
owner/name                                  a model on the Hugging Face hub
resnet18                                    ResNet-18 on log-mel spectrograms with random weights
package.module:function | file.py:function  a network of your own
"""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datasets.utils.errors import EarshotError, first_line
from datasets.utils.installed import installed
from datasets.utils.own_code import is_code
from datasets.utils.suggestion import suggestion
from trainables.networks.installed_backbones import code_of, shipped_names
from trainables.networks.shipped import shipped, verified_folder
from trainables.networks.specs import DEFAULT, LOCAL_CODE, RANDOM, RESNET

CHECKPOINTS = (".pth", ".pt", ".safetensors")
HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")
HUB_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Source:
    """A place of weights.

    Attributes:
        name: as the user has given it.
        location: folder or name on the hub, for `from_pretrained`; a file or a random network: its name.
        hub: whether it is a model on the hub.
        model_type: of its `config.json`; empty where there is none: its parameters are checked as those of an AST.
        family: of a name that says it without a `config.json`.
        code: `auto_map` of its `config.json`: classes of its own that it names; empty if it has none.
    """

    name: str
    location: str
    hub: bool = False
    model_type: str = ""
    family: str = ""
    code: dict[str, Any] = field(default_factory=dict)


def find_source(name: str, revision: str | None = None) -> Source:
    """Finds the weights called `name`.

    Args:
        name: as the user has given it.
        revision: a commit of a model on the hub whose code may run; the latest by default.

    Raises:
        EarshotError: there are none, or the hub cannot be reached.
    """
    name = code_of(name)
    if name in RANDOM or name.endswith(CHECKPOINTS):
        return Source(name, name, family="ast")
    if name == RESNET:
        return Source(name, name, family="resnet")
    if is_code(name):
        return Source(name, name, family="own")
    if name in shipped():
        folder = str(verified_folder(name))
        return _with_config(Source(name, folder), Path(folder) / "config.json")
    if Path(name).is_dir():
        if not (config := Path(name) / "config.json").is_file():
            raise EarshotError(f"backbone '{name}': the folder has no config.json; expected one saved by transformers")
        return _with_config(Source(name, name), config)
    if HUB_NAME.match(name):
        return _with_config(
            Source(name, name, hub=True), _hub_config(name, None if revision == LOCAL_CODE else revision)
        )
    similar = suggestion(name, (*shipped_names(), *installed("backbone")))
    raise EarshotError(
        f"backbone '{name}': not found; {similar} (or give a .pth or "
        ".safetensors file, a folder saved by transformers, or a hub name such as "
        "MIT/ast-finetuned-audioset-10-10-0.4593)"
    )


def check_hub(name: str) -> None:
    """Checks that a model on the hub can be downloaded.

    Raises:
        EarshotError: the hub does not answer, or has no such model.
    """
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=HUB_TIMEOUT)
    except Exception as error:
        raise EarshotError(
            f"backbone '{name}': not in the local cache, and the Hugging Face hub did not answer "
            f"({type(error).__name__}); download it on a machine with network access and give its folder or a .pth or "
            f".safetensors file, or use the shipped one: --backbone {DEFAULT}"
        ) from None


def _hub_config(name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    if isinstance(cached := try_to_load_from_cache(name, "config.json", revision=revision), str):
        return Path(cached)
    check_hub(name)
    try:
        return Path(hf_hub_download(name, "config.json", revision=revision))
    except Exception as error:
        raise EarshotError(f"backbone '{name}': has no config.json on the hub ({first_line(error)})") from None


def _with_config(source: Source, config: Path) -> Source:
    name = source.name
    try:
        values = json.loads(config.read_bytes())
        code = values.get("auto_map")
        return replace(
            source, model_type=str(values.get("model_type", "")), code=code if isinstance(code, dict) else {}
        )
    except (OSError, ValueError, AttributeError) as error:
        raise EarshotError(
            f"backbone '{name}': {config}: expected JSON, as saved by transformers "
            f"({first_line(error) or type(error).__name__})"
        ) from None
