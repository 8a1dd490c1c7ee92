"""Recipes as TOML files; those that come with the lab are known by name."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from .recipe import Recipe, RecipeError

FOLDER = Path(__file__).parent / "recipes"
_INSTEAD = {"optimisation.steps": "epochs", "optimisation.epochs": "steps"}


def names() -> list[str]:
    """Return the recipes that come with the lab."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_recipe(which: str) -> Recipe:
    """Read a recipe by its name among `names`, or a TOML file by its path. An absent key has its default.

    Raises
    ------
    RecipeError
        There is no such recipe, or a key or value of it is unknown; the sentence says which.
    """
    path = FOLDER / f"{which}.toml" if which in names() else Path(which)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"There is no recipe {which}: give a file, or one of {', '.join(names())}.") from error
    try:
        return recipe_from({"name": path.stem, **tomllib.loads(text)})
    except (tomllib.TOMLDecodeError, RecipeError) as error:
        raise RecipeError(f"{path}: {error}") from error


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """Check and build a recipe from nested mappings; unknown keys are errors."""
    _known_only(Recipe, values, "")
    try:
        return TypeAdapter(Recipe).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}") from error


def as_values(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as nested mappings; `recipe_from` reads them back."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return values


def changed(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe with settings by dotted name, such as ``{"sampling.length": 10}``, set to other values.

    Steps take the place of epochs, and epochs that of steps.
    """
    values = as_values(recipe)
    for name, value in settings.items():
        if other := _INSTEAD.get(name):
            values["optimisation"][other] = None
        *tables, key = name.split(".")
        table = values
        for part in tables:
            table = table.setdefault(part, {})
        table[key] = value
    return recipe_from(values)


def _known_only(kind: Any, values: Mapping[str, Any], place: str) -> None:
    types = typing.get_type_hints(kind)
    for key, value in values.items():
        if key not in types:
            raise RecipeError(
                f"There is no setting {place}{key}; there are {', '.join(place + name for name in types)}."
            )
        if dataclasses.is_dataclass(types[key]):
            if not isinstance(value, Mapping):
                raise RecipeError(f"{place}{key} has to be a table.")
            _known_only(types[key], value, f"{place}{key}.")
