"""`ro-crate-metadata.json` of a report, read back by the library `rocrate`."""

import json
from datetime import date
from pathlib import Path

import pytest
from rocrate.rocrate import ROCrate

from orchestrator.publishing.ro_crate import METADATA
from orchestrator.reporting.write import write_report
from tests.support.run_folders import WriteTrial


@pytest.fixture
def report(tmp_path: Path, write_trial: WriteTrial) -> Path:
    """The report of EDE and the upper bound on the shipped backbone."""
    for method in ("ede", "joint"):
        for seed in range(2):
            write_trial(f"{method}-0000000a", seed, [[0.9], [0.8, 0.5]], backbone="earshot-tiny", corpus="ls100")
    return write_report(tmp_path / "run").report.parent


def test_a_library_reads_the_crate_and_finds_every_file(report: Path, tmp_path: Path) -> None:
    crate = ROCrate(report)
    files = {entity.id: entity for entity in crate.data_entities}
    assert set(files) == {path.name for path in report.iterdir()} - {METADATA}
    for name, entity in files.items():
        assert entity.type == "File" and int(entity["contentSize"]) == (report / name).stat().st_size
    assert files["results.json"]["encodingFormat"] == "application/json"
    root = crate.root_dataset
    assert crate.name == "Earshot results: run" and date.fromisoformat(str(root["datePublished"])[:10])
    assert "ede, joint on demo" in str(crate.description) and crate.license
    copied = tmp_path / "copied"
    crate.write(copied)  # complete: the library copies every file and writes the metadata again
    again = ROCrate(copied)
    assert {entity.id for entity in again.data_entities} == set(files)


def test_it_names_the_papers_and_the_software(report: Path) -> None:
    crate = ROCrate(report)
    papers = {entity["name"]: entity.id for entity in crate.get_by_type("ScholarlyArticle")}
    assert papers["AST: Audio Spectrogram Transformer"] == "https://arxiv.org/abs/2104.01778"
    assert "Librispeech: An ASR Corpus Based on Public Domain Audio Books" in papers and len(papers) == 4
    assert {entity.id for entity in crate.root_dataset["citation"]} == set(papers.values())
    (software,) = crate.get_by_type("SoftwareApplication")
    assert str(software["name"]).startswith("Earshot")


def test_all_references_are_to_entities_of_the_graph(report: Path) -> None:
    graph = json.loads((report / METADATA).read_bytes())["@graph"]
    ids = [entity["@id"] for entity in graph]
    assert len(set(ids)) == len(ids)
    referenced = {
        value["@id"]
        for entity in graph
        for values in entity.values()
        for value in (values if isinstance(values, list) else [values])
        if isinstance(value, dict)
    }
    assert referenced - {"https://w3id.org/ro/crate/1.1"} <= set(ids)
