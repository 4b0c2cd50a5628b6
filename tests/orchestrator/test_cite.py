"""`earshot cite`: every method, backbone, corpus and preset is in the file; the BibTeX of a run."""

import re
from pathlib import Path

import pytest
import yaml

from datasets.benchmark.manifest import Manifest
from datasets.corpora.preset import find_preset, preset_names
from datasets.corpora.registry import corpora
from orchestrator.cite import main
from orchestrator.publishing.citations import EARSHOT, Citations, citations, of_backbone, preset_of
from orchestrator.publishing.used import used_by
from orchestrator.results.run import Run
from tests.support.chain_runs import write_run
from tests.support.run_folders import WriteTrial
from trainables.methods.registry import find_method, method_names
from trainables.networks.backbones.registry import family_names, find_family
from trainables.networks.specs import DEFAULT, RANDOM, RESNET

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def known() -> Citations:
    return citations()


def test_everything_has_its_papers_or_says_that_it_has_none(known: Citations) -> None:
    assert set(known.methods) == set(method_names())
    assert set(known.backbones) == set(family_names())
    assert set(known.corpora) == {*corpora(), *preset_names()}
    used = {key for keys in (*known.methods.values(), *known.corpora.values()) for key in keys}
    used |= {key for models in known.backbones.values() for keys in models.values() for key in keys}
    assert used | {EARSHOT} == set(known.entries)


def test_every_model_type_of_a_family_finds_its_entry(known: Citations) -> None:
    for family, models in known.backbones.items():
        assert list(models)[-1] == ""  # matches any name, so it must be the last
        types = set(getattr(find_family(family), "MODEL_TYPES", ()))
        for model in set(models) - {""}:
            assert any(model in name for name in types)
    assert of_backbone("microsoft/unispeech-sat-base", "wav2vec2").keys == ("unispeechsat2022",)
    assert of_backbone("facebook/wav2vec2-base", "wav2vec2").keys == ("wav2vec2020",)
    for name in (DEFAULT, *RANDOM, RESNET):
        assert of_backbone(name, None).keys


@pytest.mark.parametrize("name", method_names())
def test_a_method_names_the_papers_of_its_entry(name: str, known: Citations) -> None:
    """The arXiv numbers and years of `paper`, which the documentation shows, are those of the entries."""
    paper, entries = find_method(name).paper, [known.entries[key] for key in known.methods[name]]
    numbers = set(re.findall(r"\d{4}\.\d{5}", paper))
    assert numbers <= {entry.eprint for entry in entries}
    assert (paper == "-") == (entries == [])
    for year in re.findall(r"\b20\d\d\b(?!\.)", re.sub(r"\d{4}\.\d{5}", "", paper)):
        assert int(year) in {entry.year for entry in entries}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_names_the_publication_of_its_entry(name: str, known: Citations) -> None:
    preset = find_preset(name)
    assert preset is not None
    (entry,) = (known.entries[key] for key in known.corpora[name])
    assert str(entry.year) in preset.citation
    assert entry.author.split(",")[0] in preset.citation
    assert entry.doi is None or entry.doi in preset.citation
    for number in re.findall(r"arXiv (\S+)", preset.citation):
        assert number == entry.eprint


def test_entries_are_plain_bibtex(known: Citations) -> None:
    for key, entry in known.entries.items():
        text = entry.bibtex(key)
        assert text.isascii() and text.count("{") == text.count("}"), key
        assert re.fullmatch(r"[a-z0-9]+", key)
        assert entry.eprint is None or re.fullmatch(r"\d{4}\.\d{5}", entry.eprint)
        assert entry.doi is None or entry.doi.startswith("10.")
        assert (entry.booktitle is not None) == (entry.type == "inproceedings")
        assert not re.search(r"(?<!\\)[&%#_]", entry.title + entry.author)


def test_earshot_is_cited_as_its_citation_file_says(known: Citations) -> None:
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    entry = known.entries[EARSHOT]
    assert entry.title == cff["title"] and entry.author == f"{{{cff['authors'][0]['name']}}}"
    assert entry.year == cff["date-released"].year
    assert entry.note == f"Version {cff['version']}, {cff['license']}"
    by_title = {entry.title: entry for entry in known.entries.values()}
    for reference in cff["references"]:
        found = by_title[reference["title"]]
        assert found.eprint == reference["identifiers"][0]["value"].removeprefix("arXiv:")
        names = [f"{a['family-names']}, {a['given-names']}" for a in reference["authors"]]
        assert found.author == " and ".join(names) and found.year == reference["year"]


def test_a_run_cites_what_it_used_once(
    tmp_path: Path, write_trial: WriteTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    for method in ("simplecil", "aper", "joint"):
        write_trial(f"{method}-0000000a", 0, [[0.5], [0.5, 0.5]], backbone="earshot-tiny")
    write_trial("own.py:Mine-0000000a", 0, [[0.5], [0.5, 0.5]], backbone="/home/me/weights", frontend="none")
    assert main([str(tmp_path / "run"), "--bibtex", "--corpus", "ls100"]) == 0
    text = capsys.readouterr().out
    assert re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE) == [
        "earshot", "aper2023", "ast2021", "fcac2023", "librispeech2015"
    ]  # fmt: skip
    assert "% method joint: a baseline without a paper\n" in text
    assert "% method own.py:Mine: not one of Earshot's: cite its paper\n" in text
    assert "% backbone weights: not known: cite the paper of its weights\n" in text and "/home/me" not in text
    assert main([str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    assert "  Yuan Gong, Yu-An Chung, James Glass (2021). AST: Audio Spectrogram Transformer." in text
    for corpus, remark in (
        ("librispeech", "\n  Vassil Panayotov, "),
        ("table", ": nothing is known of its recordings: cite their publication\n"),
        ("demo", ": synthetic, made by Earshot\n"),
    ):
        assert main([str(tmp_path / "run"), "--corpus", corpus]) == 0
        text = capsys.readouterr().out
        assert f"corpus {corpus}{remark}" in text and "--corpus" not in text
    assert main([str(tmp_path / "run"), "--corpus", "ls1000"]) == 2
    assert "did you mean 'ls100'?" in capsys.readouterr().err


def test_presets_are_known_by_their_options() -> None:
    for name in preset_names():
        preset = find_preset(name)
        assert preset is not None
        assert preset_of(preset.corpus, {**preset.options, "split_seed": 0}) == name
    assert preset_of("table", {"csv": ["mine.csv"]}) == "table"


def test_the_benchmark_says_what_it_was_made_from(tmp_path: Path, tones: Path) -> None:
    preset = find_preset("esc50")
    assert preset is not None
    root = tmp_path / "esc"
    root.mkdir()
    (root / "shards").symlink_to(tones / "shards")
    Manifest.load(tones).model_copy(update={"corpus": preset.corpus, "settings": preset.options}).save(root)
    write_run(tmp_path / "runs", root, "mfcc-ncm")
    run = Run.load(tmp_path / "runs" / "it")
    assert used_by(run)[-1].keys == ("esc2015",)
    (root / "manifest.json").unlink()
    moved = used_by(run)[-1]
    assert (moved.what, moved.keys) == ("benchmark tones, corpus table", ())
