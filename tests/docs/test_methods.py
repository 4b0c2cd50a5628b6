"""What the documentation says about methods, beside the tables."""

import re
from pathlib import Path

from trainables.methods.registry import methods

DOCS = Path(__file__).parents[2] / "docs"


def test_the_methods_that_forget_a_class_are_those_of_the_documentation() -> None:
    (listed,) = re.findall(r"((?:`[a-z-]+`(?:, | and )?)+) forget a class", (DOCS / "metrics.md").read_text())
    forgetting = [name for name, method in methods().items() if method.forgets]
    assert sorted(re.findall(r"`([a-z-]+)`", listed)) == sorted(forgetting)
