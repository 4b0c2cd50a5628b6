"""Published layouts and tables end to end, without Ray: prepare, its card and summary, audit, a chain of SimpleCIL."""

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from datasets.benchmark.protocol import Protocol
from datasets.benchmark.shards import Shards
from orchestrator.auditing.audit import audit
from orchestrator.auditing.findings import findings
from orchestrator.prepare import main
from tests.support.published_layouts import LAYOUTS, record
from tests.support.shards_without_ray import write_shards
from trainables.chain_config import ChainConfig
from trainables.records import SeedTriple
from trainables.session_chain import Chain

OPTIONS = {"clip_seconds": 0.2, "sample_rate": 16000}
SHORT = ["--clip-seconds=0.2", "--sample-rate=16000"]


@pytest.mark.parametrize(("name", "classes", "groups"), [
    ("esc50", 5, 50), ("urbansound8k", 4, 40), ("speech-commands", 4, 10),
])  # fmt: skip
def test_from_the_published_folder_to_predictions(
    name: str, classes: int, groups: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "source", tmp_path / name
    LAYOUTS[name](source)
    write_shards(name, source, out, OPTIONS)
    command = [name, "--source", str(source), "--out", str(out), *SHORT]
    assert main(command) == 0
    printed, problems = capfd.readouterr()
    assert problems.count("warning") == 1 and "rejected:" not in problems
    assert re.search(
        rf"^warning: {name} was published with \d+ classes, found {classes}: check --source", problems, re.M
    )
    assert len(re.findall(r"^\S+ +\d+ +\d+ +\d+ +0\.00 +\d+ *$", printed, flags=re.MULTILINE)) == classes
    assert re.search(r"^try +earshot sweep --benchmark \S+ --protocol free --base \d --way \d --shot 5$", printed, re.M)
    manifest = Shards(out).manifest
    assert (manifest.corpus, manifest.source.rejected) == ("folder" if name == "speech-commands" else "table", 0)
    assert main(command) == 0 and "nothing to do" in capfd.readouterr().err
    facts = audit(out)
    (sources,) = [finding for finding in findings(facts) if finding.kind == "sources"]
    assert sources.verdict == "ok" and len(set(facts.clips.groups or ())) == groups
    config = ChainConfig(
        benchmark=out,
        method="simplecil",
        protocol=Protocol(base=2, way=1, shot=2),
        store=tmp_path / "store",
        seeds=SeedTriple(order=0, support=0, initialisation=0),
    )
    chain = Chain(config, tmp_path / "trial")
    while not chain.done:
        last = chain.step()
    assert len(chain.sessions) == classes - 1 and len(last.classes) == 1
    assert (tmp_path / "trial/trial.json").is_file()


def test_a_bad_table_leaves_no_benchmark_and_names_the_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        record(tmp_path / f"in/{number}.wav")
    rows = [f"{number},{'ab'[number % 2]}" for number in range(4)]
    table = tmp_path / "in/t.csv"
    command = ["table", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out"), *SHORT]
    table.write_text("\n".join(["file,label", *rows, *(f"missing{number},a" for number in range(10_000))]))
    assert main(command) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "10000 of 10004 files are unusable" in err
    assert "(missing0: not found (t.csv: line 6: column file); ...); see " in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".prepare.lock", "rejected.csv", "shards"]
    table.write_text("\n".join(["file,label", *rows, "../4,a"]))
    assert main(command) == 2
    assert f"error: {table}: line 6: column file: expected a path inside the source" in capfd.readouterr().err
    table.write_text("\n".join(["file,label", *rows, "0,b "]))
    shutil.rmtree(tmp_path / "out")
    write_shards("table", tmp_path / "in", tmp_path / "out", {**OPTIONS, "several_labels": "first"})
    assert main([*command, "--several-labels=first"]) == 0
    out, err = capfd.readouterr()
    assert "columns    file file, label label; guessed, to be changed with --file-column, --label-column" in out
    assert f"warning: spaces around 1 label removed, such as 'b ' ({table}: line 6)\n" in err


def test_many_rejected_recordings_are_counted_and_listed_in_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        record(tmp_path / f"in/{number}.wav")
    rows = [f"{number},{'ab'[number % 2]}" for number in range(4)]
    (tmp_path / "in/t.csv").write_text("\n".join(["file,label", *rows, *(f"missing{n:04d},a" for n in range(3000))]))
    write_shards("table", tmp_path / "in", tmp_path / "out", OPTIONS)
    command = ["table", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--max-rejected=1", *SHORT]
    for _ in range(2):  # the second time with nothing to do
        assert main(command) == 0
        printed, problems = capfd.readouterr()
        assert problems.count("rejected: missing") == 10
        assert f"\n... and 2990 more: see {tmp_path / 'out/rejected.csv'}\n" in problems
        assert re.search(r"^files +3004, 3000 rejected", printed, re.M) and len(printed + problems) < 5000
    listed = (tmp_path / "out/rejected.csv").read_text().splitlines()
    assert len(listed) == 3001 and listed[3000] == "missing2999,not found (t.csv: line 3005: column file)"
    assert (tmp_path / "out/README.md").stat().st_size < 10_000


def test_the_card_is_what_the_hub_reads(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(8):
        record(tmp_path / f"in/{('<b>|x', 'yes')[number % 2]}/{number}.wav")
    write_shards("folder", tmp_path / "in", tmp_path / "out", OPTIONS)
    command = ["folder", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out"), *SHORT]
    assert main(command) == 0
    card = (tmp_path / "out/README.md").read_text()
    _, front, text = card.split("---\n", 2)
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)  # in which `yes` without quotes is true
    content = yaml.load(front)
    assert content["configs"][0] == {
        "config_name": "default",
        "data_files": [{"split": "clips", "path": "shards/*.parquet"}],
    }
    assert content["configs"][1:] == [
        {
            "config_name": split,
            "data_files": [{"split": split, "path": "shards/*.parquet"}],
            "filters": [["split", "==", split]],
        }
        for split in ("train", "val", "test")
    ]
    features = {feature["name"]: feature["dtype"] for feature in content["dataset_info"]["features"]}
    assert features["audio"] == {"audio": {"sampling_rate": 16000}}
    assert features["label"] == {"class_label": {"names": {"0": "<b>|x", "1": "yes"}}}
    assert "| &lt;b>\\|x | 2 | 1 | 1 | 0.00 |" in text and "<b>" not in text
    (tmp_path / "out/README.md").unlink()  # as if the run had been killed before it wrote the card
    assert main(command) == 0 and (tmp_path / "out/README.md").read_text() == card
    assert main([*command, "--force"]) == 0 and (tmp_path / "out/README.md").read_text() == card
    capfd.readouterr()
    (tmp_path / "out/README.md").write_text("mine")
    assert main([*command, "--force"]) == 0 and (tmp_path / "out/README.md").read_text() == "mine"
    assert "warning: README.md was not made by earshot prepare, so it is kept as it is; " in capfd.readouterr().err
