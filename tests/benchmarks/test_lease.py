"""The comparison of leases with filelock: what it measures does not depend on the load of the machine."""

import json

import pytest

from benchmarks.lease import main


def test_leases_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "0.5", "--repeat", "3", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["ours"].keys() == figures["filelock"].keys()
    assert (figures["ours"]["threads for 50 leases"], figures["filelock"]["threads for 50 leases"]) == ("0", "50")
    name = "the same, owner with another lease time, s"
    assert float(figures["ours"][name]) >= 0 and figures["filelock"][name] == "LeaseSettingsMismatch"
