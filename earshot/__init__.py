"""Earshot as an installed distribution: importing this package makes the others importable.

    site-packages/earshot/                  this package, and below it:
    site-packages/earshot/datasets/         recordings -> clips in Parquet shards -> sessions
    site-packages/earshot/trainables/       what a trial computes
    site-packages/earshot/orchestrator/     commands, sweeps, reports
    site-packages/earshot/search_spaces/    one YAML per method
    site-packages/earshot/recipes/          one YAML per published setting

A wheel that had `datasets` at its top level would overwrite the library of that name from Hugging Face. So these
packages lie in this folder, and `import earshot` puts the folder first in `sys.path`; in a checkout, where they lie
beside this package, it puts the checkout first. Both libraries can be installed in one environment; one process uses
one of them.

Raises:
    ImportError: this process has imported another package called `datasets` already.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
ROOT = _HERE if (_HERE / "orchestrator").is_dir() else _HERE.parent
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
