"""Earshot as a library, and as an installed distribution.

    import earshot

    bench = earshot.prepare("folder", source="recordings", out="data/mine", clip_seconds=2)
    run = earshot.sweep(bench, methods=["slda", "ede"], protocol={"base": 2, "way": 2, "shot": 3}, seeds=3)
    model = run.best().export("models/mine")
    model.predict("meow.wav", top=3)

`docs/library.md` describes it. Names are imported when they are first used: `import earshot` alone loads neither
PyTorch nor Ray.

Importing this package makes the others importable:

    site-packages/earshot/                           this package, and below it:
    site-packages/earshot/packages/datasets/         recordings -> clips in Parquet shards -> sessions
    site-packages/earshot/packages/trainables/       what a trial computes
    site-packages/earshot/packages/orchestrator/     commands, sweeps, reports
    site-packages/earshot/packages/search_spaces/    one YAML per method
    site-packages/earshot/packages/recipes/          one YAML per published setting

A wheel that had `datasets` at its top level would overwrite the library of that name from Hugging Face. So these
packages lie in `packages`, and `import earshot` puts that folder first in `sys.path`; in a checkout, where they lie
beside this package, it puts the checkout first. Nothing else lies in the folder: a module of this package, such as
`earshot.model`, must not be in the way of a user's `model.py`. Both libraries can be installed in one environment; one
process uses one of them.

Raises:
    ImportError: this process has imported another package called `datasets` already.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

_HERE = Path(__file__).resolve().parent
ROOT = _HERE / "packages" if (_HERE / "packages").is_dir() else _HERE.parent
"""The folder that `datasets`, `trainables`, `orchestrator`, `search_spaces` and `recipes` lie in."""

_imported = sys.modules.get("datasets")
if _imported is not None and not hasattr(_imported, "__earshot__"):
    raise ImportError(
        f"earshot: this process has already imported another package called 'datasets' ({_imported.__file__}), and "
        "Earshot has one of that name; import earshot in a process that does not use the other one"
    )
if str(ROOT) in sys.path:
    sys.path.remove(str(ROOT))
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from datasets.utils.errors import EarshotError
    from earshot.benchmark import Benchmark, open_benchmark, prepare
    from earshot.best import Best
    from earshot.classifier import Classifier
    from earshot.launch import sweep
    from earshot.model import Model, load_model
    from earshot.predictions import Predictions
    from earshot.run import Run, load_run

__all__ = [
    "Benchmark",
    "Best",
    "Classifier",
    "EarshotError",
    "Model",
    "Predictions",
    "Run",
    "load_model",
    "load_run",
    "open_benchmark",
    "prepare",
    "sweep",
]

_MODULES = {
    "Benchmark": "earshot.benchmark",
    "Best": "earshot.best",
    "Classifier": "earshot.classifier",
    "EarshotError": "datasets.utils.errors",
    "Model": "earshot.model",
    "Predictions": "earshot.predictions",
    "Run": "earshot.run",
    "load_model": "earshot.model",
    "load_run": "earshot.run",
    "open_benchmark": "earshot.benchmark",
    "prepare": "earshot.benchmark",
    "sweep": "earshot.launch",
}
"""Public name -> the module that has it, imported when the name is first used (PEP 562)."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
