"""The table of methods: how configurations are chosen, how rows are ranked; the documentation is up to date."""

import importlib.util
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from benchmarks.candidates import CONFIGURATIONS, EPOCHS, candidates
from benchmarks.method_pages import DOCS, docstring, pages, ranking, tolerances, with_tables
from benchmarks.method_results import MethodTable, Result
from benchmarks.method_table import collect, incomplete
from benchmarks.table_chains import TUNING_SEEDS, Unit, measured_methods, run_chain, run_units
from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from orchestrator.results.run import Run
from orchestrator.tuning.arguments import parse
from tests.support.chain_runs import methods_on_an_ast
from tests.support.documented_commands import commands_of
from trainables.methods.registry import find_method, methods
from trainables.session_chain import Chain


def row(method: str, validation: tuple[float, ...], test: tuple[float, ...], encoder: str = "e") -> Result:
    """A result on the corpus 'c'."""
    return Result(encoder, "c", method, 1, {}, 1, validation, test, test, 1.0)


def test_committed_pages_are_those_of_the_code() -> None:
    expected = pages(MethodTable.load())
    stale = "run python -m benchmarks.method_pages"
    assert {path.stem for path in (DOCS / "methods").glob("*.md")} == set(expected) == set(methods()), stale
    for name, text in expected.items():
        assert (DOCS / "methods" / f"{name}.md").read_text(encoding="utf-8") == text, f"docs/methods/{name}.md: {stale}"


def test_committed_tables_are_those_of_the_results() -> None:
    page = (DOCS / "methods.md").read_text(encoding="utf-8")
    assert with_tables(page, MethodTable.load()) == page, "run python -m benchmarks.method_pages"


def test_commands_of_pages_are_accepted() -> None:
    for page in sorted((DOCS / "methods").glob("*.md")):
        sweep, *rest = commands_of(page)
        assert sweep.module == "orchestrator.sweep" and parse(sweep.arguments).method == (page.stem,)
        assert all(command.module == "benchmarks.method_table" for command in rest)


def test_rows_are_marked_that_lose_to_the_floor_or_are_of_an_earlier_version() -> None:
    rows = [
        row("mfcc-ncm", (40.0, 60.0), (20.0, 30.0), ""),
        row("simplecil", (50.0, 70.0), (50.0, 60.0)),
        row("slda", (39.0, 59.0), (10.0, 20.1)),
        row("gkeal", (38.0, 58.0), (19.9, 29.0)),
    ]
    rows[0] = replace(rows[0], version=find_method("mfcc-ncm").version)
    rows[3] = replace(rows[3], version=0)
    lines = ranking(MethodTable("2026-01-01", 2, 6, 2, tuple(rows)), "e", rows).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [
        "| mfcc-ncm",
        "| simplecil",
        "| slda, below the floor",  # 9.9 and 10 below
        "| gkeal, version 0",  # 0.1 and 1 below: the interval contains 0
    ]


def test_every_page_is_in_the_navigation() -> None:
    """Added by the hook when the site is built."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None and spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    config = hook.on_config(yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text()))
    (pages_of_methods,) = (
        entry["Methods one by one"]
        for section in config["nav"]
        for entry in next(iter(section.values()))
        if isinstance(entry, dict) and "Methods one by one" in entry
    )
    assert pages_of_methods == [{name: f"methods/{name}.md"} for name in sorted(methods())]


@pytest.mark.parametrize("name", sorted(methods()))
def test_published_values_are_settings_with_another_default(name: str) -> None:
    method = find_method(name)
    default, published = method.Settings(), method.Settings.model_validate(dict(method.published))
    for key in method.published:
        assert getattr(published, key) != getattr(default, key)


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_docstring_has_a_formula(name: str) -> None:
    assert "```text\n" in docstring(find_method(name))[1]


@pytest.mark.parametrize("name", measured_methods())
def test_methods_are_tuned_alike(name: str) -> None:
    proposed = candidates(name)
    settings = [find_method(name).Settings.model_validate(values) for values in proposed]
    assert proposed == candidates(name) and len(settings) <= CONFIGURATIONS
    assert all(settings[i] not in settings[:i] for i in range(len(settings)))
    if len(settings) < CONFIGURATIONS:  # all that its space has, beside the first
        assert len(settings) in {"simplecil": (1,), "mfcc-ncm": (3,)}.get(name, (5, 6))
    lengths = {key: value for values in settings for key, value in values if key.endswith("epochs")}
    assert max(lengths.values(), default=0) <= EPOCHS


def test_a_higher_limit_draws_longer_training() -> None:
    lengths = {values.get("base_epochs", 0) for values in candidates("ease", epochs=100)}
    assert max(lengths) == 100 and candidates("ease", epochs=100)[0] == candidates("ease")[0]


def test_all_methods_that_run_on_an_ast_are_measured_cheap_ones_first() -> None:
    order = measured_methods()
    assert sorted(order) == methods_on_an_ast()
    closed, once, always = (
        ("simplecil", "mfcc-ncm", "acil", "fecam"),
        ("aper", "mar", "ranpac", "cec"),
        ("der", "joint"),
    )
    groups = [[order.index(name) for name in group] for group in (closed, ("ede",), once, always)]
    assert all(max(before) < min(after) for before, after in itertools.pairwise(groups))


def test_the_best_configuration_on_validation_clips_is_measured(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "tones").symlink_to(tones)
    protocol = Protocol(base=2, way=2, shot=3, class_order="seeded")
    unit = Unit(tmp_path, "earshot-tiny", "tones", "mfcc-ncm", protocol=protocol)
    assert unit.chosen() is None
    run_units([unit], 2, lambda jobs: [run_chain(*job) for job in jobs])
    assert len(unit.finalists()) == 2
    table = collect([unit], 3)
    (result,) = table.results
    assert incomplete(table, [unit]) == ["earshot-tiny tones: mfcc-ncm 2 of 3 seeds"]
    chains = Run.load(unit.trials.parent).chains
    chains = chains[chains["split"] == "val"]
    tuning = chains[chains["order_seed"].isin(TUNING_SEEDS)].groupby("configuration")["aa"]
    both = tuning.sum()[tuning.count() == len(TUNING_SEEDS)]
    chosen = unit.config(result.settings, 0).configuration
    assert len(both) == 2 and both[chosen] == both.max()
    first = chains[chains["order_seed"] == TUNING_SEEDS[0]].set_index("configuration")["aa"]
    assert len(first) == 3 and first[both.index].min() >= first.drop(both.index).max()
    measured = chains[(chains["configuration"] == chosen) & chains["order_seed"].isin([0, 1])].sort_values("order_seed")
    assert result.validation == pytest.approx(100 * measured["aa"].to_numpy(), abs=0.01)
    assert result.encoder == ""  # it uses none


def test_a_seed_that_diverged_counts_as_zero_and_is_marked(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "tones").symlink_to(tones)
    unit = Unit(tmp_path, "earshot-tiny", "tones", "simplecil", Protocol(base=2, way=2, shot=3), "random-tiny")
    for seed in (0, 2):
        run_chain(unit, {}, seed)
    config = unit.config({}, 1)
    Chain(config, unit.trials / config.trial).fail("training diverged: lower the learning rate")
    (result,) = collect([unit], 4).results
    assert result.validation[1] == result.test[1] == 0 and result.forgetting[1] is None
    assert min(result.test[0], result.test[2]) > 0 and len(result.test) == 3 and result.diverged == 1
    cells = (
        ranking(MethodTable("2026-01-01", 3, 6, 2, (result,)), "earshot-tiny", [result]).splitlines()[2].split(" | ")
    )
    assert cells[0] == "| simplecil, 1 diverged" and "nan" not in " ".join(cells)


def merge(found: Result, *earlier: Result) -> tuple[Result, ...]:
    """The results of a table with one new result, merged with an earlier table."""
    return MethodTable("2026-01-02", 2, 6, 2, (found,)).merged(MethodTable("2026-01-01", 2, 6, 2, earlier)).results


def test_a_table_is_measured_in_parts() -> None:
    reference, other = row("simplecil", (50.0, 70.0), (50.0, 60.0)), row("slda", (1.0, 2.0), (1.0, 2.0))
    assert merge(reference, other) == (reference, other)
    fewer, newer = row("slda", (3.0,), (3.0,)), replace(other, version=2, validation=(3.0,), test=(3.0,))
    assert merge(fewer, other) == (other,)  # more seeds
    assert merge(newer, other) == (newer,)
    assert merge(replace(reference, test=(50.01, 60.0)), reference)[0].test == (50.01, 60.0)
    changed = replace(reference, test=(51.0, 60.0))
    assert merge(changed, reference) == (changed,)  # nothing is kept that was compared with the earlier one
    with pytest.raises(EarshotError, match=r"^c: expected the scores of simplecil .*\(50.00, 60.00\), found 51.00, 60"):
        merge(changed, reference, other)


def test_rows_are_ranked_on_validation_clips_of_their_own_seeds() -> None:
    """`b` has the seed that is hard for all, and is 1 above simplecil on it; `a` is 0.5 above, the floor is below."""
    rows = (
        row("mfcc-ncm", (40.0, 60.0), (20.0, 30.0), ""),
        row("simplecil", (50.0, 70.0), (50.0, 60.0)),
        row("a", (50.5, 70.5), (20.0, 31.0)),
        row("b", (51.0,), (10.0,)),
    )
    table = MethodTable("2026-01-01", 2, 6, 2, rows)
    assert [result.method for result in table.of("e", "c")] == ["b", "a", "simplecil", "mfcc-ncm"]
    over = table.over(rows[2], "e", "simplecil")
    assert over is not None and over.mean == pytest.approx(-29.5)
    assert table.over(rows[1], "e", "simplecil") is None


def test_results_can_be_read_again(tmp_path: Path) -> None:
    table = MethodTable("2026-01-01", 2, 6, 2, (row("a", (1.0, 2.0), (3.0, 4.0)), row("b", (1.0,), (2.0,))))
    table.save(tmp_path / "table.json")
    assert MethodTable.load(tmp_path / "table.json") == table


def test_tolerances_by_hand() -> None:
    """Values 1, 2, 3: std 1, t = 4.303; times sqrt(1 + 1/3) and sqrt(2/3)."""
    assert tolerances((1.0, 2.0, 3.0)) == ("5.0", "3.5")
    assert tolerances((1.0,)) == ("-", "-")
