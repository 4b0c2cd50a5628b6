"""The files of recipes. Imports neither PyTorch nor Optuna.

A recipe is a configuration of a sweep with one more key, which says what is repeated:

    recipe:
      title: EDE on LS-100
      paper: INTERSPEECH 2024, arXiv 2406.08122
      reports: not known                       # or {aa: 82.76, pd: 12.56, of: what the numbers are of}
      needs: {LibriSpeech: where to download it}
      prepare: [the commands that make the benchmark of it]
      notes: what differs from the paper
    benchmark: ls100-published
    space: {ede: {prototypes: exemplars}}
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.validation import read_yaml, validated

FOLDER = Path(__file__).parent
KEY = "recipe"
"""The key of a configuration that holds a `Recipe`."""


class Reported(BaseModel):
    """Results of a paper, in percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aa: float = Field(ge=0, le=100, description="average accuracy over the sessions")
    pd: float | None = Field(None, ge=-100, le=100, description="performance drop, A_0 - A_T")
    of: str = Field(description="what the numbers are of")

    def __str__(self) -> str:
        """'AA 82.76, PD 12.56 (the mean over three benchmarks)'."""
        return f"AA {self.aa:g}{'' if self.pd is None else f', PD {self.pd:g}'} ({self.of})"


class Recipe(BaseModel):
    """What a recipe repeats, and what it needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(description="what is repeated")
    paper: str = Field(description="where it was published")
    reports: Literal["not known"] | Reported = Field("not known", description="results of the paper")
    needs: dict[str, str] = Field(description="what has to be downloaded, and from where")
    prepare: tuple[str, ...] = Field(description="commands that make the benchmark, in order")
    notes: str = Field("", description="what differs from the paper")


def shipped() -> dict[str, Path]:
    """The recipes in this folder, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def recipe_file(name: str) -> Path:
    """The file of a shipped recipe.

    Raises:
        EarshotError: there is none of that name.
    """
    files = shipped()
    if name not in files:
        raise EarshotError(f"recipe '{name}': not known; {suggestion(name, files)}")
    return files[name]


def split_recipe(values: dict[str, Any], where: str) -> tuple[Recipe | None, dict[str, Any]]:
    """Separates what a configuration file says about a recipe from the settings of the sweep.

    Args:
        values: of the file.
        where: the file, for errors.

    Raises:
        EarshotError: the key `recipe` is invalid.
    """
    settings = {key: value for key, value in values.items() if key != KEY}
    if KEY not in values:
        return None, settings
    return validated(Recipe, values[KEY], f"{where}: {KEY}"), settings


def read_recipe(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """A shipped recipe, and the settings of its sweep."""
    recipe, settings = split_recipe(read_yaml(path), str(path))
    assert recipe is not None, f"{path} has no key '{KEY}'"
    return recipe, settings
