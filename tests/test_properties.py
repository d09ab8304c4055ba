"""Any recipe at all: it is the same from a file, at half its strength twice, under hooks, joined midway and as code."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import mi_widgets as mi
from mi_widgets.delta import Delta
from mi_widgets.intervention import NEEDS, Condition, Intervention
from mi_widgets.model import Read

from . import tiny
from .test_code import AutoModelForCausalLM, TransformerBridge, _bridge, _plain
from .test_oracle import saved
from .tiny import CLEAN, CORRUPT, OTHERS

SHAPE = "llama"
LONG = (CORRUPT, OTHERS[2] + " and then it slept again in the old garden.")
WIDTHS = {"W_Q": (20, 24), "W_K": (20, 12), "W_V": (20, 12), "W_O": (24, 20), "W_in": (20, 28), "W_out": (28, 20)}
WITHIN = 1e-4
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=500)

numbers = st.floats(-2, 2, width=32)
strengths = st.one_of(st.just(1.0), st.floats(-1.5, 1.5, width=32))
layers = st.integers(0, tiny.LAYERS - 1)
positions = st.one_of(st.none(), st.integers(-12, 12))


@cache
def model() -> mi.Model:
    """A saved model, so that programs can load it."""
    return saved(SHAPE, Path(tempfile.mkdtemp()))


def vectors(width: int) -> st.SearchStrategy[np.ndarray]:
    return st.integers(0, 2**16).map(lambda seed: np.random.default_rng(seed).standard_normal(width))


@st.composite
def directions(draw: st.DrawFn, head: bool | None = None) -> mi.Direction:
    at_head = draw(st.booleans()) if head is None else head
    vector = draw(vectors(tiny.D_HEAD if at_head else 20))
    name, kind = draw(st.text(max_size=5)), draw(st.sampled_from(["pca", "probe", "given"]))
    norm = draw(st.floats(0.125, 4, width=32))
    index = draw(st.integers(0, tiny.HEADS - 1)) if at_head else None
    return mi.Direction(vector, draw(layers), norm, 0.5, name, kind=kind, head=index)


@st.composite
def sites(draw: st.DrawFn) -> mi.Site:
    kind, layer, position = (
        draw(st.sampled_from(["embedding", "residual", "head", "ffn", "neuron"])),
        draw(layers),
        None,
    )
    position = draw(positions)
    if kind == "embedding":
        return mi.Site(kind, position=position)
    if kind == "residual":
        return mi.Site(kind, layer, part=draw(st.sampled_from(["pre", "mid", "post"])), position=position)
    if kind == "ffn":
        return mi.Site(kind, layer, position=position)
    if kind == "neuron":
        return mi.Site(kind, layer, draw(st.integers(0, tiny.D_MLP)), draw(st.sampled_from(["post", "pre"])), position)
    part = draw(st.sampled_from(["z", "q", "k", "v", "pattern"]))
    key = draw(positions) if part == "pattern" else None
    return mi.Site(kind, layer, draw(st.integers(0, tiny.HEADS - 1)), part, position, key)


@st.composite
def deltas(draw: st.DrawFn, shape: tuple[int, int]) -> Delta:
    rng, rank = np.random.default_rng(draw(st.integers(0, 2**16))), draw(st.sampled_from([0, 1, 3]))
    chosen = [draw(st.one_of(st.none(), st.permutations(range(n)).map(lambda p: tuple(p[:4])))) for n in shape]
    rows, columns = (n if own is None else len(own) for n, own in zip(shape, chosen, strict=True))
    if not rank:
        return Delta(rng.standard_normal((rows, columns)), None, *chosen)
    return Delta(rng.standard_normal((rows, rank)), rng.standard_normal((rank, columns)), *chosen)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    position = draw(st.one_of(st.just("last_prompt"), st.integers(-5, 5)))
    return Condition(draw(directions(head=False)), draw(st.sampled_from([-1e3, -0.5, 0.5, 1e3])), position)


@st.composite
def interventions(draw: st.DrawFn) -> Intervention:
    """One that can be made; the model may refuse it still."""
    op, site = draw(st.sampled_from(sorted(NEEDS))), draw(sites())
    if op == "knock_out":
        query, key = sorted((draw(st.integers(0, 12)), draw(st.integers(0, 12))), reverse=True)
        site = mi.Site("head", draw(layers), draw(st.integers(0, tiny.HEADS - 1)), "pattern", query, key)
    own: dict[str, Any] = {
        "strength": draw(strengths),
        "condition": draw(st.one_of(st.none(), st.none(), conditions())),
    }
    if op == "delta":
        part = draw(st.sampled_from(sorted(WIDTHS)))
        site, own["delta"] = mi.Site("weight", draw(layers), part=part), draw(deltas(WIDTHS[part]))
    elif site.position is None:
        own |= {"where": draw(st.sampled_from(["all", "prompt"])), "spare_first": draw(st.booleans())}
    if "direction" in NEEDS[op]:
        own["direction"] = direction = draw(directions())
        site = direction.site if draw(st.integers(0, 9)) else site
        own["everywhere"] = op == "project_out" and site.kind == "residual" and draw(st.booleans())
    if "amount" in NEEDS[op]:
        own["amount"] = draw(numbers)
    if op == "clamp":
        own["low"], own["high"] = draw(st.one_of(st.none(), st.just(-0.3))), draw(numbers.map(abs))
    if "reference" in NEEDS[op]:
        own["reference"] = mi.Reference(LONG if op == "resample" else OTHERS)
    if op == "resample":
        own["seed"] = draw(st.integers(-3, 3))
    if op == "swap":
        basis = np.linalg.qr(draw(vectors(20 * 3)).reshape(20, 3))[0].T
        own["subspace"] = subspace = mi.Subspace(basis, draw(layers), draw(st.text(max_size=5)))
        site = subspace.site
    if "prompt" in NEEDS[op]:
        own["prompt"] = draw(st.sampled_from([CORRUPT, CORRUPT, OTHERS[0]]))
    try:
        return Intervention(op, site, **own)
    except ValueError:
        assume(False)
        raise


@st.composite
def recipes(draw: st.DrawFn) -> mi.Recipe:
    """Some steps, put together with + and at."""
    whole = mi.Recipe()
    for step in draw(st.lists(interventions(), min_size=1, max_size=4)):
        whole = whole + mi.Recipe((step,)).at(draw(strengths))
    return whole


def in_words(work: Callable[[], Any]) -> Any:
    """What the work returns; None for a ValueError that says something, and no other error comes through."""
    try:
        return work()
    except ValueError as error:
        assert len(str(error).split()) > 4
        return None


def ran(recipe: mi.Recipe) -> torch.Tensor | None:
    """The logits of a run; None where the model refuses it."""
    run = in_words(lambda: mi.run(model(), CLEAN, recipe))
    return None if run is None else run.logits


def apart(found: torch.Tensor, other: torch.Tensor) -> float:
    """How far logits lie apart, in units of the largest if that is above 1; 0 where an edit made them no numbers."""
    if not torch.isfinite(found).all():
        return 0.0
    return float((found - other).abs().max()) / max(1.0, float(found.abs().max()))


# -- the properties ---------------------------------------------------------------------------------------------------


def a_file_keeps_it(recipe: mi.Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = mi.Recipe.load(recipe.save(Path(folder) / "recipe.json"))
    assert back == recipe and back.hash == recipe.hash and str(back) == str(recipe)
    found, again = ran(recipe), ran(back)
    assert (found is None) == (again is None)
    assert found is None or torch.equal(found.nan_to_num(), again.nan_to_num())


def at_zero_is_no_recipe(recipe: mi.Recipe) -> None:
    found = ran(recipe.at(0))
    assert found is not None and torch.equal(found, mi.run(model(), CLEAN).logits)


def at_twice_is_at_the_product(recipe: mi.Recipe, a: float, b: float) -> None:
    twice, once = recipe.at(a).at(b), recipe.at(a * b)
    strengths = [i.strength for i in once.interventions]
    assert [i.strength for i in twice.interventions] == pytest.approx(strengths) and recipe.at(1) == recipe
    found, other = ran(twice), ran(once)
    assert (found is None) == (other is None)
    assert found is None or apart(found, other) < WITHIN


def hooks_and_sweeps_agree(recipe: mi.Recipe) -> None:
    found = ran(recipe)
    hooks = in_words(lambda: recipe.hooks(model(), CLEAN))
    assert (found is None) == (hooks is None)
    if found is None:
        return
    with torch.no_grad():
        theirs = model().bridge.run_with_hooks(model().ids(CLEAN), fwd_hooks=hooks)[0]
    assert apart(found, theirs) < WITHIN
    read = Read(lambda logits: logits)
    alone = mi.Recipe((Intervention("scale", mi.Site("ffn", 1), amount=0.5),))
    recording, swept = model().record(CLEAN), {}
    for rows, values in model().do(lambda: list(model().sweep(recording, [alone, recipe, alone + recipe], read))):
        swept.update(zip(rows, values, strict=True))
    assert apart(found[-1], swept[1]) < WITHIN
    both = ran(alone + recipe)
    assert both is not None and apart(both[-1], swept[2]) < WITHIN


def programs_agree(recipe: mi.Recipe) -> None:
    found = ran(recipe)
    patterns = any(step.site.part == "pattern" and step.strength for step in recipe.interventions)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.safetensors"
        file = in_words(lambda: recipe.save_vectors(path))
        for flavour in ("transformer_lens", "huggingface"):
            code = in_words(lambda flavour=flavour: recipe.code(CLEAN, model(), flavour, file))
            assert (code is None) == (found is None or (patterns and flavour == "huggingface"))
            assert code is None or found is None or apart(found[-1], _last(code)) < WITHIN


def _last(code: str) -> torch.Tensor:
    """The edited logits of a program, which loads its model once for all examples."""
    names: dict[str, Any] = {}
    grad = torch.is_grad_enabled()
    boot = patch.object(TransformerBridge, "boot_transformers", staticmethod(_bridge))
    load = patch.object(AutoModelForCausalLM, "from_pretrained", staticmethod(_plain))
    try:
        with boot, load:
            exec(code, names)
    finally:
        torch.set_grad_enabled(grad)
    return names["after"]


PROPERTIES = (a_file_keeps_it, at_zero_is_no_recipe, hooks_and_sweeps_agree, programs_agree)


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda holds: holds.__name__)
@FEW
@given(recipe=recipes())
def test_it_holds_for_a_few_recipes(holds: Callable[[mi.Recipe], None], recipe: mi.Recipe) -> None:
    holds(recipe)


@FEW
@given(recipe=recipes(), a=strengths, b=strengths)
def test_at_twice_is_at_the_product(recipe: mi.Recipe, a: float, b: float) -> None:
    at_twice_is_at_the_product(recipe, a, b)


@pytest.mark.slow
@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda holds: holds.__name__)
@MANY
@given(recipe=recipes())
def test_it_holds_for_many_recipes(holds: Callable[[mi.Recipe], None], recipe: mi.Recipe) -> None:
    holds(recipe)
