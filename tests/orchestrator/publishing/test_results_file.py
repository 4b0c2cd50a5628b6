"""results.json and results.csv: their numbers, schema and documentation; old runs; nothing of this machine."""

import csv
import getpass
import io
import json
import socket
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from datasets.utils.checksum import with_checksum
from orchestrator.publishing.portable import portable, portable_name
from orchestrator.publishing.results_file import RESULTS, TABLE, Results, results_csv
from orchestrator.publishing.run_results import results_of
from orchestrator.publishing.schema import DOCS, SCHEMA, json_schema, with_tables
from orchestrator.reporting.write import write_report
from orchestrator.results.measures import CHAIN_METRICS, SESSION_METRICS
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.chain_runs import write_run
from tests.support.run_folders import WriteTrial
from trainables.records import SeedTriple

FIXTURE = Path(__file__).parents[2] / "fixtures" / "version-0.1.0.tar.xz"


@pytest.fixture
def run(tmp_path: Path, write_trial: WriteTrial) -> Path:
    """Two configurations of ede with two heads, of which b is better on validation clips; one unfinished chain."""
    for seed, final in ((0, 0.5), (1, 0.7)):
        heads = {"linear": [[0.5], [0.4, 0.2]]}
        write_trial("ede-0000000a", seed, [[1.0], [1.0, 1.0]], val=[[0.3], [0.3, 0.3]], heads=heads)
        write_trial("ede-0000000b", seed, [[0.9], [0.8, final]], val=[[0.6], [0.6, 0.6]], heads=heads)
    write_trial("icarl-0000000c", 0, [[0.8]], planned=2)
    return tmp_path / "run"


def results(run: Path) -> Results:
    loaded = Run.load(run)
    return results_of(loaded, Estimates(loaded))


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_the_numbers_are_those_of_the_tables(run: Path) -> None:
    folder = write_report(run).report.parent
    content = json.loads((folder / RESULTS).read_bytes())
    by_name = {entry["name"]: entry for entry in content["configurations"]}
    summary = rows((folder / "summary.csv").read_bytes())
    assert len(summary) == 5
    for row in summary:
        entry = by_name[row["configuration"]]
        of_head = entry["estimates"][row["head"]]
        for metric in CHAIN_METRICS:
            for part in ("mean", "std", "n"):
                assert same(of_head["test"]["chain"][metric][part], row[f"{metric}_{part}"]), (row, metric)
        assert same(of_head["test"]["chain"]["aa"]["low"], row["aa_low"])
        assert same(of_head["test"]["chain"]["aa"]["high"], row["aa_high"])
        assert same(of_head["val"]["chain"]["aa"]["mean"], row["validation_aa_mean"])
        assert (entry["selected"] is not None) == (row["selected"] == "yes")
    for row in rows((folder / "sessions.csv").read_bytes()):
        value = by_name[row["configuration"]]["estimates"][row["head"]][row["split"]]["sessions"][int(row["session"])]
        assert same(value["mean"], row["micro_mean"]) and same(value["n"], row["micro_n"])


def same(value: float | None, cell: str) -> bool:
    return cell == "" if value is None else abs(float(cell) - value) < 1e-9


def test_a_chain_has_its_sessions_by_head_and_split_and_its_cost(run: Path) -> None:
    found = results(run)
    best = next(c for c in found.configurations if c.name == "ede-0000000b")
    assert best.selected is not None and best.selected.validation_aa == 0.6 and best.selected.candidates == 2
    chain = best.chains[1]
    test, val = chain.scores["prototype"]["test"], chain.scores["prototype"]["val"]
    assert test.sessions["micro"] == (0.9, 0.75) and val.sessions["micro"] == (0.6, 0.6)  # A_1 = (0.8 + 0.7) / 2
    assert set(test.sessions) == set(SESSION_METRICS)
    assert (test.chain["aa"], test.chain["pd"], test.chain["forgetting"]) == (0.825, 0.15, 0.1)
    assert (chain.seconds, chain.parameters_stored, chain.parameters_used) == (3.0, 2000, 1000)
    unfinished = next(c for c in found.configurations if c.method == "icarl").chains[0]
    assert (unfinished.status, unfinished.finished_sessions, unfinished.class_order) == ("running", 1, None)
    assert unfinished.scores["prototype"]["test"].sessions["micro"] == (0.8,)
    assert unfinished.scores["prototype"]["test"].chain["aa"] is None


def test_the_schema_is_that_of_the_model_and_of_the_file(run: Path) -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema(), "python -m orchestrator.publishing.schema"
    content = json.loads(results(run).json_bytes())
    jsonschema.Draft202012Validator(json_schema()).validate(content)
    assert Results.model_validate(content) == results(run)
    content["configurations"][0]["chains"][0]["seconds"] = "fast"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(content)


def test_the_page_explains_every_field() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert with_tables(page) == page, "python -m orchestrator.publishing.schema"


def test_the_table_has_a_line_a_chain(run: Path) -> None:
    table = rows(results_csv(results(run)))
    assert [(row["configuration"], row["order_seed"]) for row in table] == [
        ("ede-0000000a", "0"), ("ede-0000000a", "1"), ("ede-0000000b", "0"), ("ede-0000000b", "1"),
        ("icarl-0000000c", "0"),
    ]  # fmt: skip
    row = table[3]
    assert (row["selected"], row["head"], row["val_aa"], row["test_aa"]) == ("yes", "prototype", "0.600000", "0.825000")
    assert row["test_pd"] == "0.150000" and row["test_intransigence"] == "" and row["fingerprint"] == "f" * 64
    assert table[4]["test_aa"] == "" and table[4]["status"] == "running"


def test_real_chains_say_which_version_ran_on_which_draw(tmp_path: Path, tones: Path) -> None:
    seeds = [SeedTriple(order=order, support=support, initialisation=0) for order, support in ((0, 0), (1, 0), (0, 1))]
    protocol = {"base": 2, "way": 2, "shot": 3, "class_order": "seeded"}
    for one in seeds:
        write_run(tmp_path, tones, "mfcc-ncm", seeds=one, protocol=protocol)
    found = results(tmp_path / "it")
    (configuration,) = found.configurations
    assert configuration.version == 2 and configuration.backbone is None
    first, other_order, other_support = configuration.chains if configuration.chains[1].seeds == seeds[1] else (
        configuration.chains[i] for i in (0, 2, 1)
    )  # fmt: skip
    assert first.draw == other_order.draw != other_support.draw
    assert first.class_order == other_support.class_order != other_order.class_order
    (protocol_facts,) = found.protocols
    assert (protocol_facts.benchmark, protocol_facts.corpus, protocol_facts.sessions) == ("tones", "test", 3)
    software = found.software
    assert software.python and software.torch and software.torchaudio and software.ray


def test_a_run_of_version_0_1_gives_a_valid_file(tmp_path: Path) -> None:
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    content = json.loads(results(tmp_path / "runs" / "before").json_bytes())
    jsonschema.Draft202012Validator(json_schema()).validate(content)
    first = content["configurations"][0]
    assert first["version"] is None and first["chains"][0]["draw"] is None and first["chains"][0]["class_order"]
    assert content["software"]["torchaudio"] is None and content["protocols"][0]["corpus"] is None


def test_nothing_of_this_machine_is_in_the_file(run: Path, write_trial: WriteTrial) -> None:
    home = f"/home/{getpass.getuser()}/secret-project"
    write_trial(
        "own.py:Learner-0000000d",
        0,
        [[0.8], [0.8, 0.8]],
        backbone=f"{home}/wavlm",
        settings={"weights": f"{home}/head.pt", "list": ["s3://key:word@bucket/secret-project/x.pt?token=1"]},
        error=None,
    )
    sweep: dict[str, Any] = {
        "what": {},
        "where": {"benchmark": f"{home}/data", "runs": home},
        "made": {"commit": f"{home}", "machine": "Linux x86_64, 2 cores", "host": socket.gethostname()},
    }
    (run / "sweep.json").write_text(json.dumps(with_checksum(sweep)), encoding="utf-8")
    found = results(run)
    for text in (found.json_bytes().decode(), results_csv(found).decode()):
        for private in (home, "secret-project", "token", "key:word", str(run.parent), socket.gethostname()):
            assert private not in text
    own = next(c for c in found.configurations if c.method == "own.py:Learner")
    assert own.backbone is not None and own.backbone.id == "wavlm"
    assert own.settings == {"weights": "head.pt", "list": ["x.pt"]}


def test_names_without_folders() -> None:
    kept = ["MIT/ast-finetuned-audioset-10-10-0.4593", "earshot-tiny", "resnet18"]
    assert [portable_name(name) for name in kept] == kept
    assert portable_name("mine/encoder.py:factory") == "encoder.py:factory"
    assert portable_name("../up/model") == portable_name("C:\\lab\\model") == portable_name("~/model") == "model"
    assert portable({"a": ["/x/y", "a/b", 3, None], "b": {"c": "file:///x/z"}}) == {
        "a": ["y", "a/b", 3, None],
        "b": {"c": "z"},
    }


def test_files_are_in_the_report(run: Path) -> None:
    folder = write_report(run).report.parent
    assert Results.model_validate_json((folder / RESULTS).read_bytes()) == results(run)
    assert (folder / TABLE).read_bytes() == results_csv(results(run))
