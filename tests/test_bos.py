"""prepend_bos=False: the numbers are those of ids without BOS, and the provenance says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, CORRUPT, OTHERS


class Bare(mi.Model):
    """A model whose texts never begin with BOS."""

    def ids(self, prompt: Any, prepend_bos: bool | None = None) -> torch.Tensor:
        return super().ids(prompt, False)


class Plain(Tiny):
    @cached_property
    def model(self) -> mi.Model:
        return Bare(tiny.hugging_face(self.shape), tiny.tokenizer(), "plain")


@pytest.fixture(scope="module")
def plain(llama: Tiny) -> Iterator[Tiny]:
    small = Plain("llama")
    assert small.ids().shape[1] == llama.ids().shape[1] - 1
    yield small
    small.model.close()


MAPS: dict[str, Callable[..., mi.Grid]] = {
    "causal": mi.locate.causal,
    "causal, means": lambda *args, **more: mi.locate.causal(*args, "ffn", "mean", reference=OTHERS, **more),
    "causal, other prompts": lambda *args, **more: mi.locate.causal(*args, method="resample", **more),
    "gradient": mi.locate.gradient,
    "gradient, positions": lambda *args, **more: mi.locate.gradient(*args, "tokens", "ig", **more),
    "gradient, means": lambda *args, **more: mi.locate.gradient(*args, base="mean", reference=OTHERS, **more),
    "direct": mi.locate.direct,
    "paths": mi.locate.paths,
}


@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_prompts_without_bos(llama: Tiny, plain: Tiny, name: str) -> None:
    expected = MAPS[name](plain.model, plain.pair, progress=False)
    grid = MAPS[name](llama.model, plain.pair, progress=False, prepend_bos=False)
    assert grid.provenance["prepend_bos"] is False and "prepend_bos" not in expected.provenance
    assert [len(axis) for axis in grid.axes] == [len(axis) for axis in expected.axes]
    np.testing.assert_allclose(grid.values, expected.values, atol=1e-5)
    assert np.abs(grid.values).max() > 1e-3


@pytest.mark.parametrize("objects", ["residual", "ffn", "heads"])
def test_a_lens_of_a_prompt_without_bos(llama: Tiny, objects: str) -> None:
    ids = llama.model.ids(CLEAN, prepend_bos=False)
    expected, grid = (
        mi.locate.lens(llama.model, ids, objects),
        mi.locate.lens(llama.model, CLEAN, objects, prepend_bos=False),
    )
    assert grid.provenance["prepend_bos"] is False and grid.axes == expected.axes
    np.testing.assert_allclose(grid.values, expected.values, atol=1e-6)
    *_, last = mi.locate.lens_steps(llama.model, CLEAN, objects, prepend_bos=False)
    np.testing.assert_array_equal(last.values, grid.values)


def test_a_growing_map_keeps_its_estimate_without_bos(llama: Tiny, plain: Tiny) -> None:
    grids = list(mi.locate.refine(llama.model, plain.pair, prepend_bos=False))
    guess = mi.locate.gradient(llama.model, plain.pair, prepend_bos=False, progress=False)
    assert grids[0].estimated is not None and grids[0].estimated.all() and grids[-1].estimated is None
    np.testing.assert_allclose(grids[0].values, guess.values, atol=1e-6)


def test_chosen_bos_is_the_default_one(llama: Tiny) -> None:
    def value(**more: Any) -> np.ndarray:
        return mi.locate.gradient(llama.model, mi.Pair(CLEAN, CORRUPT, *words), progress=False, **more).values

    words = str(llama.pair.answer), str(llama.pair.foil)
    np.testing.assert_allclose(value(prepend_bos=True), value(), atol=1e-6)
