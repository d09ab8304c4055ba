"""Programs: every operation in both flavours beside `mi.run`, run without this package on a saved model."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM

import mi_widgets as mi
from mi_widgets.delta import Delta
from mi_widgets.intervention import Intervention

from . import tiny
from .conftest import Tiny
from .test_oracle import HEAD, LAYER, agrees, direction, head, many_edits, once, residual, saved
from .tiny import CLEAN, CORRUPT, OTHERS

WITHIN = {"transformer_lens": 1e-5, "huggingface": 1e-4}
FLAVOURS = pytest.mark.parametrize("flavour", WITHIN)
LONG = (CORRUPT, OTHERS[2] + " and then it slept again in the old garden.")


@cache
def _saved(shape: str, folder: Path) -> mi.Model:
    return saved(shape, folder)


@pytest.fixture
def model(small: Tiny, tmp_path_factory: pytest.TempPathFactory) -> mi.Model:
    """A saved model of each shape, once."""
    folder = tmp_path_factory.getbasetemp() / f"saved-{small.shape}"
    return _saved(small.shape, folder)


@pytest.fixture
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that load one folder again get the model they had."""
    monkeypatch.setattr(TransformerBridge, "boot_transformers", staticmethod(_bridge))
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", staticmethod(_plain))


_boot, _load = TransformerBridge.boot_transformers, AutoModelForCausalLM.from_pretrained


@cache
def _bridge(folder: str) -> TransformerBridge:
    return _boot(folder)


def _plain(folder: str, **settings: Any) -> Any:
    return _load(folder, **settings) if "config" in settings else _programs_own(folder, **settings)


@cache
def _programs_own(folder: str, **settings: Any) -> Any:
    return _load(folder, **settings)


def probe(width: int, layer: int = LAYER, index: int | None = None) -> mi.Direction:
    """A direction that no texts give again."""
    return mi.Direction(np.cos(np.arange(width)), layer, 2.0, 0.5, "probed", ("up",), ("down",), head=index, kind="pca")


def addition(model: mi.Model, part: str) -> mi.Recipe:
    """To some columns as a product, or to a block of rows, or to all."""
    rng, d = np.random.default_rng(3), model.d_model
    heads = tiny.HEADS * tiny.D_HEAD
    groups = (getattr(model.twin.cfg, "n_key_value_heads", None) or tiny.HEADS) * tiny.D_HEAD
    delta = {
        "W_Q": Delta(rng.standard_normal((d, 2)), rng.standard_normal((2, 3)), None, (7, 0, 4)),
        "W_K": Delta(rng.standard_normal((d, groups))),
        "W_V": Delta(rng.standard_normal((2, 2)), None, (5, 1), (0, 11)),
        "W_O": Delta(rng.standard_normal((tiny.D_HEAD, d)), None, tuple(range(tiny.D_HEAD))),
        "W_in": Delta(rng.standard_normal((d, 1)), rng.standard_normal((1, tiny.D_MLP))),
        "W_gate": Delta(rng.standard_normal((d, 2)), None, None, (9, 3)),
        "W_out": Delta(rng.standard_normal((2, d)), None, (20, 2)),
    }[part]
    assert heads > 11 and tiny.D_MLP > 20
    return once("delta", mi.Site("weight", LAYER, part=part), delta=delta, strength=0.5)


def on_modules(model: mi.Model, parallel: bool, gated: bool) -> Iterator[mi.Recipe]:
    """What both flavours write."""
    reference, longer = mi.Reference(OTHERS), mi.Reference(LONG)
    sites = [*(head(part=part, index=1) for part in "zqkv"), mi.Site("neuron", LAYER, 5), mi.Site("ffn", 0)]
    sites += [mi.Site("neuron", LAYER, 3, "pre"), mi.Site("embedding"), residual(2, "pre"), residual(0, "post")]
    sites += [] if parallel else [residual(LAYER, "mid")]
    for number, site in enumerate(sites):
        yield once("zero", site)
        yield once("mean", site, reference=reference, spare_first=number % 2 == 0)
        yield once("resample", site, reference=longer, seed=number, strength=0.7)
        yield once("scale", site, amount=-1.5, where="prompt")
        yield once("clamp", site, low=None if number % 2 else -0.1, high=0.05)
        yield once("replace", site, prompt=CORRUPT, spare_first=True)
    length = model.ids(CLEAN).shape[1]
    yield once("mean", mi.Site("ffn", LAYER, position=-1), reference=reference)
    yield once("mean", head(position=length - 1), reference=reference, strength=0.25)
    yield once("replace", residual(1, "pre", -1), prompt=CORRUPT)
    made = mi.steer.contrast(model, OTHERS[:2], OTHERS[2:], LAYER)
    for d in (made, direction(model.d_model), probe(model.d_model, 2), probe(tiny.D_HEAD, LAYER, HEAD)):
        yield d.add(0.7)
        yield d.add(0.7, [3, -1], keep_norm=True).at(0.5)
        yield d.project_out()
        if d.head is None:
            yield d.project_out(everywhere=True).at(0.6)
    yield once("add", head(part="q"), amount=0.4, direction=probe(tiny.D_HEAD, LAYER, HEAD))
    x = model.do(lambda: model.activations(CLEAN, f"blocks.{LAYER}.hook_resid_post"))
    gate, other = direction(model.d_model), probe(model.d_model)
    for d, at in ((gate, "last_prompt"), (other, 4)):
        value = float(x[-1 if at == "last_prompt" else 4].float() @ torch.tensor(d.vector))
        shut = d.add(3.0).when(d, value + 1e-2, at)
        yield once("zero", head()) + shut
        yield shut + made.add(0.5).when(d, value - 1e-2, at) + once("zero", head())
    for part in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", *(["W_gate"] if gated else [])):
        yield addition(model, part)


def on_patterns(model: mi.Model) -> Iterator[mi.Recipe]:
    """What passes through no module. The last query's most attended key is the one that counts."""
    rows = model.do(lambda: model.activations(CLEAN, f"blocks.{LAYER}.attn.hook_pattern"))[HEAD]
    last, key = len(rows) - 1, int(rows[-1].argmax())
    places = ((last, key), (-1, key - last - 1), (None, key), (-1, None), (None, None))
    pattern = [mi.Site("head", LAYER, HEAD, "pattern", *place) for place in places]
    for site in pattern:
        yield once("scale", site, amount=0.2)
        yield once("replace", site, prompt=CORRUPT, strength=0.5)
        yield once("resample", site, reference=mi.Reference(LONG), seed=1)
        if site.key is not None:
            yield once("zero", site)
            yield once("knock_out", site, strength=0.9)


def written(model: mi.Model, recipe: mi.Recipe, flavour: str, folder: Path) -> str:
    """The program, with a file beside it where the recipe has arrays."""
    path = folder / "vectors.safetensors"
    arrays = any(step.direction or step.delta or step.condition for step in recipe.interventions)
    return recipe.code(CLEAN, model, flavour, recipe.save_vectors(path) if arrays else None)


@FLAVOURS
def test_every_operation_gives_the_same(
    small: Tiny, model: mi.Model, flavour: str, tmp_path: Path, loaded_once: None
) -> None:
    recipes = list(on_modules(model, small.shape == "pythia", small.shape not in ("gpt2", "pythia")))
    assert {step.op for recipe in recipes for step in recipe.interventions} >= set(mi_operations()) - {"knock_out"}
    for recipe in recipes:
        agrees(model, recipe, written(model, recipe, flavour, tmp_path), within=WITHIN[flavour])


def mi_operations() -> list[str]:
    from mi_widgets.intervention import NEEDS

    return list(NEEDS)


def test_every_operation_on_patterns_gives_the_same(
    small: Tiny, model: mi.Model, tmp_path: Path, loaded_once: None
) -> None:
    for recipe in on_patterns(model):
        agrees(model, recipe, written(model, recipe, "transformer_lens", tmp_path))
        with pytest.raises(ValueError, match="pass through no module") as refused:
            recipe.code(CLEAN, model, "huggingface")
        assert str(recipe) in str(refused.value)


def test_many_edits_in_plain_pytorch(small: Tiny, model: mi.Model) -> None:
    """Loaded as a student would, and with an answer and a foil."""
    steps = tuple(step for step in many_edits(small).interventions if step.site.part != "pattern")
    recipe = mi.Recipe(steps, {"answer": small.pair.answer, "foil": small.pair.foil})
    code = recipe.code(CLEAN, model, "huggingface")
    assert "transformer_lens" not in code and "TransformerBridge" not in code
    agrees(model, recipe, code, within=1e-4)
