"""Code: a recipe as a short program that gives the same numbers without this package.

Every text that comes from a person or a file stands in the program as a Python literal, and nowhere else. A difference
of means is made again from its texts; every other vector, and every addition to a weight, is loaded from a file of
arrays that stand under their SHA-256. Half precision rounds in another order here and there: the numbers agree to that
precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...intervention import Recipe
from ...model import Model
from .huggingface import HuggingFace
from .transformer_lens import TransformerLens

_FLAVOURS = ("transformer_lens", "huggingface")


def program(
    recipe: Recipe,
    prompt: str | Sequence[int] | None = None,
    model: Any = None,
    flavour: str = "transformer_lens",
    vectors: str | Path | None = None,
    features: str | Path | None = None,
) -> str:
    """The program: load the model, build the hooks, run before and after, print what changed; see `Recipe.code`."""
    if flavour not in _FLAVOURS:
        raise ValueError(f"there is no flavour {flavour!r:.40}; flavours are {' and '.join(_FLAVOURS)}")
    if model is None:
        if flavour == "huggingface":
            raise ValueError(
                "plain Hugging Face code needs the model, whose modules it names: "
                "recipe.code(model=model, flavour='huggingface')"
            )
        return TransformerLens(recipe, prompt, vectors, features=features).text()
    model = Model.of(model)
    recipe = recipe.made_in(model)
    if flavour == "huggingface":
        return HuggingFace(recipe, prompt, vectors, model, features).text()
    return TransformerLens(recipe, prompt, vectors, model, features).text()
