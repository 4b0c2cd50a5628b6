"""Cross-domain protocols: their classes, and the mix that they need."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from datasets.benchmark.clips import ClipTable
from datasets.benchmark.cross_domain import CROSS_DOMAIN, DOMAINS
from datasets.benchmark.protocol import NAMED, AnyProtocol, Protocol, make_sessions
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from orchestrator.preparation.pipeline import prepare
from tests.support.shards_without_ray import write_shards
from tests.support.sized_benchmarks import SPLIT, write_benchmark
from trainables.chain_config import ChainConfig
from trainables.session_chain import Chain


def table(*parts: tuple[str, int]) -> ClipTable:
    """Clips of a mix of benchmarks with a name and a number of classes each."""
    names = tuple(f"{name}/{label}" for name, classes in parts for label in range(classes))
    labels = np.repeat(np.arange(len(names), dtype=np.int32), len(SPLIT))
    ids = tuple(f"{i:06d}" for i in range(len(labels)))
    return ClipTable(ids, labels, np.array(SPLIT * len(names)), names)


def sessions_of(protocol: str, clips: ClipTable) -> list[list[str]]:
    """Names of the classes of each session."""
    rules = TypeAdapter(AnyProtocol).validate_python(protocol)
    sessions = make_sessions(rules, clips, order_seed=0, support_seed=0, base_classes=None)
    return [[clips.class_names[label] for label in session.labels] for session in sessions]


@pytest.mark.parametrize(
    ("pair", "parts", "base", "first"),
    [
        ("l2n", (("ls100", 100), ("nsynth100", 100)), 60, "nsynth100/55"),  # its 45 novel classes
        ("l2f", (("ls100-published", 100), ("fsc89", 89)), 60, "fsc89/44"),
        ("n2l", (("nsynth100", 100), ("ls100", 100)), 55, "ls100/55"),
        ("n2f", (("nsynth100", 100), ("fsc89", 89)), 55, "fsc89/44"),
        ("f2l", (("fsc89", 89), ("ls100", 100)), 59, "ls100/55"),
        ("f2n", (("fsc89", 89), ("nsynth100", 100)), 59, "nsynth100/55"),
    ],
)
def test_base_classes_of_one_benchmark_then_the_last_45_of_the_other(
    pair: str, parts: tuple[tuple[str, int], ...], base: int, first: str
) -> None:
    one, *later = sessions_of(f"cd-fcac-{pair}", table(*parts))
    assert one == [f"{parts[0][0]}/{label}" for label in range(base)]
    assert [len(names) for names in later] == [5] * 9 and later[0][0] == first
    assert {name.partition("/")[0] for names in later for name in names} == {parts[1][0]}
    assert later[-1][-1] == f"{parts[1][0]}/{parts[1][1] - 1}"


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ((("nsynth100", 100), ("ls100", 100)), r"nsynth100 \(100\), ls100 \(100\)"),
        ((("ls100", 100), ("nsynth100", 99)), r"ls100 \(100\), nsynth100 \(99\)"),
        ((("ls100", 100), ("nsynth100", 100), ("fsc89", 89)), r"ls100 \(100\), nsynth100 \(100\), fsc89 \(89\)"),
        ((("speakers\n", 100), ("notes", 100)), r"speakers\\n \(100\), notes \(100\)"),
    ],
)
@pytest.mark.parametrize("name", ["cd-fcac-l2n", "cd-fcac-l2n-changed"])
def test_another_benchmark_is_an_error_with_the_commands(
    parts: tuple[tuple[str, int], ...], found: str, name: str
) -> None:
    protocol = NAMED["cd-fcac-l2n"].model_copy(update={"name": name})
    expected = (
        rf"^protocol {name}: expected a mix of ls100 \(100 classes\) and nsynth100 \(100\), in this order and with "
        rf"these names, found {found}; make it with: earshot prepare ls100 --source DIR --out data/ls100; "
        "earshot prepare nsynth100 --source DIR --meta DIR --out data/nsynth100; "
        "earshot prepare mix --of data/ls100 --of data/nsynth100 --out data/l2n$"
    )
    with pytest.raises(EarshotError, match=expected):
        make_sessions(protocol, table(*parts), order_seed=0, support_seed=0)


def test_a_change_is_in_the_name_and_another_order_is_an_error() -> None:
    adapter = TypeAdapter[Protocol](AnyProtocol)
    assert adapter.validate_python({"name": "cd-fcac-n2l", "validation": 5}).name == "cd-fcac-n2l"
    assert adapter.validate_python({"name": "cd-fcac-n2l", "shot": 1}).name == "cd-fcac-n2l-changed"
    for order in ("seeded", "fixed", (0, 1)):
        with pytest.raises(ValidationError, match="cd-fcac-n2l has classes of one benchmark, then of another"):
            adapter.validate_python({"name": "cd-fcac-n2l", "class_order": order})
    stored = NAMED["cd-fcac-n2l"].model_dump(mode="json")
    assert adapter.validate_python(stored) == Protocol.model_validate(stored) == NAMED["cd-fcac-n2l"]


def test_a_chain_over_a_prepared_mix(tmp_path: Path) -> None:
    parts = [
        str(write_benchmark(tmp_path / DOMAINS[key].names[0], DOMAINS[key].classes, DOMAINS[key].base, rate))
        for key, rate in (("f", 44_100), ("n", 16_000))
    ]
    out = tmp_path / "f2n"
    write_shards("mix", tmp_path / "nowhere", out, {"of": parts})
    assert prepare("mix", None, out, {"of": parts}).base_classes == 59
    config = ChainConfig(
        benchmark=str(out), method="mfcc-ncm", protocol=NAMED["cd-fcac-f2n"], store=str(tmp_path / "store")
    )
    chain = Chain(config, tmp_path / "trial")
    while not chain.done:
        chain.step()
    record, names = chain.record, Shards(out).table.class_names
    assert record.status == "finished" and [len(session.classes) for session in record.sessions] == [59] + 9 * [5]
    assert names[record.sessions[1].classes[0]] == "nsynth100/55" and len(chain.sessions[0].support) == 59 * 5
    assert set(CROSS_DOMAIN) == {name for name in NAMED if name.startswith("cd-fcac-")}
    with pytest.raises(EarshotError, match="protocol cd-fcac-n2f: expected a mix of nsynth100"):
        Chain(config.model_copy(update={"protocol": NAMED["cd-fcac-n2f"]}), tmp_path / "trial")
