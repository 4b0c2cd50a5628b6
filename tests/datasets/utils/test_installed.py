"""What installed distributions add is read from their metadata; names that are taken are errors that name both."""

import sys
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from datasets.utils.installed import check_names, installed
from tests.support.outside_code import write_distribution


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_entry_points_of_every_kind(site: Path) -> None:
    groups = {"earshot.methods": {"mine": "lab.mine:Mine"}, "earshot.search_spaces": {"wide": "lab:wide.yaml"}}
    write_distribution(site, "lab-tools", groups)
    (entry,) = installed("method").values()
    assert (entry.name, entry.code, entry.distribution) == ("mine", "lab.mine:Mine", "lab-tools")
    assert installed("search space")["wide"].code == "lab:wide.yaml" and installed("corpus") == {}
    assert "lab" not in sys.modules  # the metadata is read, not the code


def test_a_name_of_earshot(site: Path) -> None:
    write_distribution(site, "lab-tools", {"earshot.methods": {"slda": "lab.mine:Mine"}})
    check_names("method", ["ede"], ["ede", "slda"])
    with pytest.raises(EarshotError) as caught:
        check_names("method", ["slda"], ["ede", "slda"])
    assert str(caught.value) == (
        "method 'slda': Earshot has one of this name, and the installed distribution lab-tools adds another "
        "(lab.mine:Mine); uninstall it, or rename its entry point"
    )


def test_a_name_of_two_distributions(site: Path) -> None:
    for name in ("lab-tools", "other-tools"):
        write_distribution(site, name, {"earshot.corpora": {"birds": "lab.birds:Birds"}})
    with pytest.raises(EarshotError, match=r"the installed distributions (lab|other)-tools and (lab|other)-tools both"):
        installed("corpus")["birds"].check_name([])
