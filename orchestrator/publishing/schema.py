"""The JSON schema of results.json, and the tables of its fields in docs/results.md, from the models.

    python -m orchestrator.publishing.schema

writes both; to be run after a change of `results_file`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.publishing.results_file import Results

SCHEMA = Path(__file__).parent / "results.schema.json"
DOCS = Path(__file__).parents[2] / "docs" / "results.md"
MARK, END = "<!-- fields: python -m orchestrator.publishing.schema -->", "<!-- end of what is generated -->"


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of results.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Results.model_json_schema()}


def field_tables() -> str:
    """A table of fields in Markdown for results.json and for every kind of object in it."""
    schema = json_schema()
    parts = {"results.json": schema, **schema["$defs"]}
    return "\n\n".join(
        f"**{name}.** {part['description'].partition(chr(10))[0]}\n\n| field | type | meaning |\n|---|---|---|\n"
        + "\n".join(f"| `{field}` | {_type(of)} | {of.get('description', '')} |" for field, of in _fields(part))
        for name, part in parts.items()
    )


def with_tables(page: str) -> str:
    """The page with the tables between its marks."""
    before, _, rest = page.partition(MARK)
    return f"{before}{MARK}\n\n{field_tables()}\n\n{END}{rest.partition(END)[2]}"


def _fields(part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from part["properties"].items()


def _type(of: dict[str, Any]) -> str:
    """'number or null', 'list of Chain', 'Interval by name'."""
    if "anyOf" in of:
        return " or ".join(_type(option) for option in of["anyOf"])
    if "$ref" in of:
        return str(of["$ref"].rpartition("/")[2])
    if "const" in of or "enum" in of:
        return " or ".join(f"`{value}`" for value in of.get("enum", [of.get("const")]))
    if of.get("type") == "array":
        return f"list of {_type(of['items'])}"
    if isinstance(inner := of.get("additionalProperties"), dict):
        return f"{_type(inner)} by name"
    return str(of.get("type", "any"))


def main() -> None:
    """Writes the schema, and the tables into the page."""
    SCHEMA.write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")
    DOCS.write_text(with_tables(DOCS.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
