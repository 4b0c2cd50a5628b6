"""Writes the pages of the methods and the tables of docs/methods.md, from the code and `docs/methods/table.json`.

    python -m benchmarks.method_pages

A page has the docstring of the method's file, what it needs, its settings with published values, and its scores.
`python -m benchmarks.method_table --out FOLDER --write` measures the scores, and writes the pages too.
"""

import importlib
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scipy import stats

from benchmarks.method_results import FILE, FLOOR, REFERENCE, MethodTable, Result, mean
from benchmarks.table_chains import methods_with
from orchestrator.reporting.markdown import table
from orchestrator.statistics.estimates import Estimate, estimate
from trainables.learners.learner import Learner
from trainables.methods.registry import find_method, methods

DOCS = FILE.parents[1]
END = "<!-- end of what is generated -->"
GENERATED = "<!-- made by python -m benchmarks.method_pages; change the docstring, the settings or table.json -->"
ENCODER_TITLES = {"earshot-tiny": "earshot-tiny", "resemblyzer": "Resemblyzer's speaker encoder"}
FEWER = "*"  # marks a row that has fewer seeds than a complete one
NO_TEXT_TOWER = "It was not measured: no backbone with a text tower was available."


def write_pages(docs: Path = DOCS) -> None:
    """Writes all pages, and what methods.md has between marks."""
    results = MethodTable.load()
    for name, text in pages(results).items():
        (docs / "methods" / f"{name}.md").write_text(text, encoding="utf-8")
    overview = docs / "methods.md"
    overview.write_text(with_tables(overview.read_text(encoding="utf-8"), results), encoding="utf-8")


def with_tables(page: str, results: MethodTable) -> str:
    """A page with what is generated between its marks."""
    generated = {"summary": summary(results), "tables": method_tables(results), "pages": links()}
    for name, text in generated.items():
        mark = f"<!-- {name}: python -m benchmarks.method_pages -->"
        before, rest = page.split(mark)
        _, after = rest.split(END, maxsplit=1)
        page = f"{before}{mark}\n\n{text}\n\n{END}{after}"
    return page


def links() -> str:
    """The pages of all methods."""
    return ", ".join(f"[{name}](methods/{name}.md)" for name in methods()) + "."


def summary(results: MethodTable) -> str:
    """The difference to `simplecil` in every table; the largest mean difference on validation clips comes first.

    The order is that of the first encoder, on which all methods run, over the corpora that a method was measured on.
    """
    corpora = list(dict.fromkeys(row.corpus for row in results.results))
    places = [(encoder, corpus) for encoder in ENCODER_TITLES for corpus in corpora]
    first = [place for place in places if place[0] == next(iter(ENCODER_TITLES))]
    gains: dict[str, float] = {}
    for method in dict.fromkeys(row.method for row in results.results):
        found = [(place[0], row) for place in first if (row := results.find(*place, method))]
        over = [results.over(row, encoder, REFERENCE, split="validation") for encoder, row in found]
        if found and method != REFERENCE and not _transductive(method):
            gains[method] = mean(value.mean for value in over if value is not None)
    header = ["method", *(f">{corpus}, {encoder}" for encoder, corpus in places)]
    return table(header, [_gains(results, method, places) for method in sorted(gains, key=lambda name: -gains[name])])


def _gains(results: MethodTable, method: str, places: list[tuple[str, str]]) -> list[str]:
    cells = [method]
    for encoder, corpus in places:
        row = results.find(encoder, corpus, method)
        gain = "" if row is None else difference(results.over(row, encoder, REFERENCE))
        cells.append(f"{gain}{FEWER}" if row is not None and len(row.test) < results.seeds else gain)
    return cells


def pages(results: MethodTable) -> dict[str, str]:
    """The page of each method, by name."""
    return {name: page(method, results) for name, method in methods().items()}


def page(method: type[Learner], results: MethodTable) -> str:
    """The page of one method."""
    title, body = docstring(method)
    parts = [
        f"# {method.name}",
        GENERATED,
        title,
        *([body] if body else []),
        "## Run it",
        f"```sh\nearshot sweep --benchmark mine --method {method.name}\n```",
        "\n".join(f"- {fact}" for fact in facts(method)),
        "## Settings",
        settings(method),
        "## Expected score",
        scores(method, results),
    ]
    return "\n\n".join(parts) + "\n"


def docstring(method: type[Learner]) -> tuple[str, str]:
    """The first line of the docstring of a method's file, and the rest as Markdown: indented lines are formulas."""
    text = importlib.import_module(method.__module__).__doc__ or ""
    title, _, rest = text.strip().partition("\n")
    lines: list[str] = []
    for block in re.split(r"\n\n+", rest.strip("\n")):
        if all(line.startswith("    ") or not line for line in block.splitlines()) and block:
            lines.append("```text\n" + "\n".join(line[4:] for line in block.splitlines()) + "\n```")
        elif block:
            lines.append(_paragraph(block))
    return _paragraph(title), "\n\n".join(_joined(lines))


def _joined(blocks: list[str]) -> Iterator[str]:
    """Formulas that follow each other are one block."""
    formulas: list[str] = []
    for block in [*blocks, ""]:
        if block.startswith("```text"):
            formulas.append(block.removeprefix("```text\n").removesuffix("\n```"))
            continue
        if formulas:
            yield "```text\n" + "\n\n".join(formulas) + "\n```"
            formulas = []
        if block:
            yield block


def _paragraph(text: str) -> str:
    """Escapes what Markdown would read as markup, outside of `code`; a list needs an empty line before it."""
    pieces = re.split(r"(`[^`]*`)", text)
    escaped = "".join(piece if piece.startswith("`") else re.sub(r"([*~<\[\]|])", r"\\\1", piece) for piece in pieces)
    return re.sub(r"(?<=[^\n])\n(?=- )", "\n\n", escaped, count=1)


def facts(method: type[Learner]) -> Iterator[str]:
    """What a method needs, and what becomes of classes that leave."""
    default = method.Settings()
    yield f"Source: {method.paper}." if method.paper != "-" else "Source: none; a baseline."
    if method.transductive:
        yield "Track: transductive: it sees the query clips of a session as one batch; not ranked with the others."
    needs = method.needs(default)
    if method.backbone:
        capabilities = ", ".join(sorted(method.capabilities(default)))
        yield f"Backbone: {capabilities} ([which have it](../methods.md#which-method-runs-on-which-backbone))."
    else:
        yield "Backbone: none."
    if needs.everything:
        yield "Clips that it keeps: every support clip."
    else:
        yield f"Exemplars: {needs.exemplars} clip of every old class." if needs.exemplars else "Exemplars: none."
    if needs.new_classes > 1:
        yield f"New classes of a session: at least {needs.new_classes}, because {needs.why}."
    if max(needs.shots, needs.base_shots) > 1:
        yield f"Support clips: at least {max(needs.shots, needs.base_shots)} of a base class, because {needs.why}."
    yield "Classes that leave: forgotten exactly." if method.forgets else "Classes that leave: still predicted."
    heads = ", ".join(f"`{head}`" for head in method.heads)
    yield f"Heads: {heads}; the first is the default." if len(method.heads) > 1 else f"Head: {heads}."


def settings(method: type[Learner]) -> str:
    """The table of settings."""
    fields = method.Settings.model_fields
    if not fields:
        return "None."
    defaults = method.Settings()
    rows = [
        [name, json.dumps(getattr(defaults, name)), _published(method, name), field.description or ""]
        for name, field in fields.items()
    ]
    note = "Published values are given where they differ from the default, for a transformer where there are several."
    return f"{table(['setting', 'default', 'published', 'meaning'], rows)}\n\n{note}"


def _published(method: type[Learner], name: str) -> str:
    return json.dumps(method.published[name]) if name in method.published else ""


def scores(method: type[Learner], results: MethodTable) -> str:
    """What a method reaches, with the tolerance of one chain and of as many as were measured."""
    rows = [
        (encoder, row)
        for encoder in ENCODER_TITLES
        for row in results.results
        if row.method == method.name and encoder == (row.encoder or next(iter(ENCODER_TITLES)))
    ]
    if not rows:
        return NO_TEXT_TOWER if "text" in method.uses else "It was not measured yet."
    header = ["encoder", "corpus", ">n", ">AA", ">± one chain", ">± n chains", ">forgetting"]
    header += [f">over {FLOOR}", f">over {REFERENCE}", "settings chosen on validation"]
    cells = [
        [
            *(encoder if method.backbone else "-", row.corpus, len(row.test), f"{mean(row.test):.1f}"),
            *tolerances(row.test),
            f"{mean(row.forgetting):.1f}",
            *(difference(results.over(row, encoder, other)) for other in (FLOOR, REFERENCE)),
            _settings_text(row.settings),
        ]
        for encoder, row in rows
    ]
    text = (
        "AA and forgetting on query clips, in percent: 5 classes a session, 5 shots, to the last class; n seeds. AA of"
        " one other chain, or the mean of n others, lies within the tolerance with 95 % probability."
        " [How it was measured](../methods.md#the-table)."
    )
    command = f"python -m benchmarks.method_table --out FOLDER {selection(method.name)}"
    return "\n\n".join([text, table(header, cells), *remarks(method.name, results), f"```sh\n{command}\n```"])


def selection(method: str) -> str:
    """The options that measure a method and those that it is compared with."""
    return " ".join(f"--method {name}" for name in dict.fromkeys((FLOOR, REFERENCE, method)))


def remarks(method: str, results: MethodTable) -> Iterator[str]:
    """Whether a method loses to the floor."""
    lost = [
        f"{row.corpus} ({ENCODER_TITLES[encoder]})"
        for encoder in ENCODER_TITLES
        for row in results.results
        if row.method == method and encoder == (row.encoder or next(iter(ENCODER_TITLES))) and loses(results, row)
    ]
    if lost:
        yield f"**It is below `{FLOOR}`, by more than the interval, on {', '.join(lost)}.**"


def loses(results: MethodTable, row: Result) -> bool:
    """Whether the whole interval of the difference to the floor is below zero."""
    over = results.over(row, row.encoder, FLOOR)
    return over is not None and over.n > 1 and over.high < 0


def tolerances(values: tuple[float, ...]) -> tuple[str, str]:
    """Half-widths of the 95 % prediction intervals of one more chain, and of the mean of as many more."""
    n = len(values)
    if n < 2:
        return "-", "-"
    spread = float(stats.t.ppf(0.975, n - 1)) * estimate(values).std
    return f"{spread * math.sqrt(1 + 1 / n):.1f}", f"{spread * math.sqrt(2 / n):.1f}"


def difference(value: Estimate | None) -> str:
    """'+3.1 (1.0 to 5.2)', in points; empty for a method's difference to itself."""
    if value is None or value.n == 0:
        return ""
    interval = f" ({value.low:.1f} to {value.high:.1f})" if value.n > 1 else ""
    return f"{value.mean:+.1f}{interval}"


def method_tables(results: MethodTable) -> str:
    """A table for each encoder and corpus, best method on validation clips first."""
    parts = [f"As of {results.measured}."]
    for encoder, title in ENCODER_TITLES.items():
        for corpus in dict.fromkeys(row.corpus for row in results.results):
            rows = results.of(encoder, corpus)
            if not any(row.encoder == encoder for row in rows):
                continue
            inductive, transductive = ([row for row in rows if _transductive(row.method) == track] for track in (0, 1))
            parts += [f"### {corpus}, {title}", ranking(results, encoder, inductive)]
            if missing := [name for name in methods_with(encoder) if name not in {row.method for row in rows}]:
                parts.append(f"Not measured yet: {', '.join(f'`{name}`' for name in missing)}.")
            if transductive:
                parts += ["Transductive, a track of its own:", ranking(results, encoder, transductive)]
    return "\n\n".join(parts)


def _transductive(method: str) -> bool:
    """Whether a method sees the query clips of a session as one batch: it is not ranked with the others."""
    return find_method(method).transductive


def ranking(results: MethodTable, encoder: str, rows: list[Result]) -> str:
    """The table of one corpus with one encoder."""
    header = ["method", ">n", ">validation AA", ">test AA", f">over {FLOOR}", f">over {REFERENCE}"]
    header += [">forgetting", ">tried", ">seconds"]
    cells = [
        [
            ", ".join([row.method, *_marks(results, row)]),
            f"{len(row.test)}{FEWER if len(row.test) < results.seeds else ''}",
            f"{mean(row.validation):.1f}",
            _mean_std(estimate(row.test)),
            *(difference(results.over(row, encoder, other)) for other in (FLOOR, REFERENCE)),
            f"{mean(row.forgetting):.1f}",
            row.configurations,
            f"{row.seconds:.0f}",
        ]
        for row in rows
    ]
    return table(header, cells)


def _marks(results: MethodTable, row: Result) -> Iterator[str]:
    if row.version != find_method(row.method).version:
        yield f"version {row.version}"
    if row.diverged:
        yield f"{row.diverged} diverged"
    if loses(results, row):
        yield "below the floor"


def _mean_std(value: Estimate) -> str:
    return f"{value.mean:.1f} ± {'-' if math.isnan(value.std) else f'{value.std:.1f}'}"


def _settings_text(values: dict[str, Any]) -> str:
    """'base_lr 0.0043, tuning adapter'; 'default' for none."""
    texts = {
        key: f"{value:.3g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }
    return ", ".join(f"{key} {text}" for key, text in texts.items()) or "default"


def main() -> int:
    """`python -m benchmarks.method_pages`."""
    if len(sys.argv) > 1:
        print(__doc__)
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    write_pages()
    return 0


if __name__ == "__main__":
    sys.exit(main())
