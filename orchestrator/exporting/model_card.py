"""The model card of an export: its README.md with the front matter of the Hugging Face hub, and `.eval_results`.

`huggingface_hub` writes both. Results are those of the exported chain on test clips, one chain with its own seeds; a
chain that `--train-on-all` has trained was never scored, so its card has none. A file in `.eval_results` names a data
set of the hub (`--hub-dataset`), which leaderboards of the hub collect; without that name there is no file.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.exporting.output_folder import EVAL_RESULTS, README
from orchestrator.publishing.citations import EARSHOT, Cited, bibtex, of_backbone, of_corpus, of_method, preset_of
from orchestrator.publishing.portable import portable_name
from orchestrator.results.loading import score_trial
from trainables import metrics
from trainables.inference.description import Description
from trainables.records import TrialRecord

TASK = "audio-classification"
TAGS = ("audio", TASK, "few-shot-learning", "class-incremental-learning", "continual-learning")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_FILE_SUFFIXES = (".py", ".pth", ".pt", ".safetensors")
_PERCENT_DECIMALS = 2


@dataclass(frozen=True)
class Measured:
    """Results of a chain on test clips by head, in percent.

    Attributes:
        accuracy: after the exported session, on all classes seen so far.
        average: AA over the sessions up to this one.
    """

    accuracy: dict[str, float]
    average: dict[str, float]


def check_hub_dataset(name: str | None) -> None:
    """Checks the name of a data set on the hub.

    Raises:
        EarshotError: it is not `owner/name`.
    """
    if name is not None and not _HUB_ID.fullmatch(name):
        raise EarshotError(f"--hub-dataset {printable(name)}: expected OWNER/NAME, a data set of the Hugging Face hub")


def measured(record: TrialRecord, folder: Path, session: int) -> Measured:
    """What a trial reached on test clips up to one of its sessions.

    Args:
        record: of the trial.
        folder: of the trial.
        session: number of the session.

    Raises:
        EarshotError: a file of predictions is missing or damaged.
    """
    chains = {head: chain for (head, split), chain in score_trial(record, folder).items() if split == "test"}
    heads = {head: chains[head].micro[: session + 1] for head in record.heads if head in chains}
    return Measured(
        {head: _percent(accuracies[-1]) for head, accuracies in heads.items()},
        {head: _percent(metrics.average_accuracy(accuracies)) for head, accuracies in heads.items()},
    )


def card_files(
    model: Description, text: str, results: Measured | None, hub_dataset: str | None = None
) -> dict[str, bytes]:
    """Name of the file in the export -> its content.

    Args:
        model: what was exported.
        text: for people, in Markdown.
        results: None for a chain that was not scored.
        hub_dataset: data set of the hub that the benchmark is; None if it is none.
    """
    from huggingface_hub import EvalResultEntry, ModelCard, ModelCardData, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump

    data = ModelCardData(
        library_name="earshot",
        pipeline_tag=TASK,
        tags=[*TAGS, model.method],
        datasets=[hub_dataset] if hub_dataset else None,
        base_model=_base_model(model),
        metrics=["accuracy"],
        model_name=model.trial,
        eval_results=_eval_results(model, results, hub_dataset) or None,
    )
    body = "\n".join([text, *_results(model, results), *_citation(model)])
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")
    files = {README: str(card).encode()}
    if hub_dataset and results is not None:
        head = model.default_head
        entry = EvalResultEntry(
            dataset_id=hub_dataset, task_id=_task(model), value=results.average[head], notes=_notes(model)
        )
        name = hub_dataset.replace("/", "--")
        files[f"{EVAL_RESULTS}/{name}.yaml"] = yaml_dump(eval_result_entries_to_yaml([entry])).encode()
    return files


def _base_model(model: Description) -> str | None:
    """The backbone, if it is a model of the hub."""
    name = model.backbone.name if model.backbone else ""
    return name if _HUB_ID.fullmatch(name) and not name.endswith(_FILE_SUFFIXES) else None


def _eval_results(model: Description, results: Measured | None, hub_dataset: str | None) -> list[Any]:
    from huggingface_hub import EvalResult

    if results is None:
        return []
    head, session = model.default_head, model.session
    values = {
        f"accuracy after session {session}": results.accuracy[head],
        f"mean accuracy over sessions 0 to {session} (AA)": results.average[head],
    }
    arguments = {"fingerprint": model.benchmark.fingerprint, "protocol": model.protocol_hash, "seeds": str(model.seeds)}
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=hub_dataset or model.benchmark.name,
            dataset_name=model.benchmark.name,
            dataset_split="test",
            dataset_args=arguments,
            metric_type="accuracy",
            metric_name=name,
            metric_value=value,
        )
        for name, value in values.items()
    ]


def _task(model: Description) -> str:
    return str(model.protocol.get("name", "free"))


def _notes(model: Description) -> str:
    return (
        f"AA in percent over sessions 0 to {model.session}, head {model.default_head}, one chain (seeds "
        f"{model.seeds}), protocol hash {model.protocol_hash}, {model.method} version {model.version}"
    )


def _results(model: Description, results: Measured | None) -> list[str]:
    benchmark = printable(model.benchmark.name).replace("`", "'")
    if results is None:
        return ["## Results", "", "Trained again on all train clips: its accuracy on test clips was not measured.", ""]
    rows = [f"| {head} | {results.accuracy[head]:.1f} | {results.average[head]:.1f} |" for head in results.accuracy]
    return [
        "## Results",
        "",
        f"Of this chain alone (seeds {model.seeds}) on test clips of `{benchmark}`, protocol hash "
        f"{model.protocol_hash}, in percent; {model.default_head} is the head that `predict` uses.",
        "",
        f"| head | after session {model.session} | mean over sessions (AA) |",
        "|---|---:|---:|",
        *rows,
        "",
    ]


def _citation(model: Description) -> list[str]:
    corpus = preset_of(model.benchmark.corpus, model.benchmark.settings)
    cited = [Cited("Earshot", (EARSHOT,)), of_method(portable_name(model.method))]
    if model.backbone is not None:
        cited.append(of_backbone(portable_name(model.backbone.name), model.backbone.family))
    cited.append(of_corpus(model.benchmark.name, corpus))
    return ["## Citation", "", "```bibtex", bibtex(cited).rstrip().replace("`", "'"), "```", ""]


def _percent(value: float) -> float:
    return round(100 * float(value), _PERCENT_DECIMALS) if np.isfinite(value) else float("nan")
