"""Reports of chains in which classes leave: accuracies are over the classes present."""

from pathlib import Path

from datasets.benchmark.protocol import Protocol
from orchestrator.reporting.write import write_report
from trainables.chain_config import ChainConfig
from trainables.session_chain import Chain


def test_reports_say_that_accuracies_are_over_the_classes_present(tones: Path, tmp_path: Path) -> None:
    config = ChainConfig(
        benchmark=str(tones),
        method="mfcc-ncm",
        protocol=Protocol(base=3, way=1, shot=3, leave=1, sessions=5),
        store=tmp_path / "store",
    )
    chain = Chain(config, tmp_path / "run" / "trials" / config.trial)
    while not chain.done:
        chain.step()
    report = write_report(tmp_path / "run", formats=("svg",)).report
    folder = report.parent
    texts = {path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".md", ".tex", ".html")}
    for name, text in texts.items():
        assert "classes seen" not in text and "classes present" in text, name
    left = [chain.record.class_names[label] for session in chain.record.sessions for label in session.left]
    assert len(left) == 2
    for session, name in zip((2, 4), left, strict=True):
        assert f"| {session} | 0 | leave: {name} |" in texts["report.md"]
