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
def _programs_bridge(folder: str) -> Any:
    return _boot(folder)


@cache
def _programs_model(folder: str, **settings: Any) -> Any:
    return _load(folder, **settings)


def _bridge(folder: str, **settings: Any) -> Any:
    return _boot(folder, **settings) if settings else _programs_bridge(folder)


def _plain(folder: str, **settings: Any) -> Any:
    ours = "attn_implementation" in settings and "config" not in settings
    return _programs_model(folder, **settings) if ours else _load(folder, **settings)


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
    """What both flavours write: every operation, at every kind of site two of them."""
    reference, longer = mi.Reference(OTHERS), mi.Reference(LONG)
    sites = [*(head(part=part, index=1) for part in "zqkv"), mi.Site("neuron", LAYER, 5), mi.Site("ffn", 0)]
    sites += [mi.Site("neuron", LAYER, 3, "pre"), mi.Site("embedding"), residual(2, "pre"), residual(0, "post")]
    sites += [] if parallel else [residual(LAYER, "mid")]
    operations: tuple[tuple[str, dict[str, Any]], ...] = (
        ("zero", {}),
        ("mean", {"reference": reference, "spare_first": True}),
        ("resample", {"reference": longer, "seed": 4, "strength": 0.7}),
        ("scale", {"amount": -1.5, "where": "prompt"}),
        ("clamp", {"low": -0.1, "high": 0.05}),
        ("replace", {"prompt": CORRUPT, "spare_first": True}),
    )
    for number, site in enumerate(sites):
        for op, more in (operations[number % 6], operations[(number + 3 - number // 6) % 6]):
            yield once(op, site, **more)
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
    x = model.do(lambda: model.activations(CLEAN, residual(part="post")))
    gate, other = direction(model.d_model), probe(model.d_model)
    for d, at in ((gate, "last_prompt"), (other, 4)):
        value = float(x[-1 if at == "last_prompt" else 4].float() @ torch.tensor(d.vector))
        shut = d.add(3.0).when(d, value + 1e-2, at)
        yield once("zero", head()) + shut
        yield shut + made.add(0.5).when(d, value - 1e-2, at) + once("zero", head())
    subspace = mi.Subspace(np.linalg.qr(np.cos(np.arange(2 * model.d_model)).reshape(-1, 2))[0].T, LAYER)
    yield subspace.swap(CORRUPT)
    yield subspace.swap(CORRUPT, [-1]).at(0.5)
    for part in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", *(["W_gate"] if gated else [])):
        yield addition(model, part)


def on_patterns(model: mi.Model) -> Iterator[mi.Recipe]:
    """What passes through no module. The last query's most attended key is the one that counts."""
    rows = model.do(lambda: model.activations(CLEAN, head(part="pattern")))[HEAD]
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
    arrays = any(step.direction or step.delta or step.condition or step.subspace for step in recipe.interventions)
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


# -- texts are literals ------------------------------------------------------------------------------------------------

MARK = "xQz"  # in every text of a person's, and nowhere else
NASTY = (
    f"{MARK}'\"\"\"'", f"{MARK}\n{MARK} = 1\r\x0b\x0c", f"{{{MARK}}} {{0}} %s\\", f"\\N{{{MARK}}}\\u2028\\'",
    f"{MARK}\u2028\u2029\x85\x1c\ufeff\u202e # {MARK}", f"\ud800{MARK}\x00", f'")\n{MARK}()#',
)  # fmt: skip


def outside_strings(code: str) -> str:
    """What of a program stands outside of its string literals, comments included."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return " ".join(token.string for token in tokens if token.type != tokenize.STRING)


def strings(code: str) -> set[str]:
    return {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant) and str(node.value)}


def full_of(texts: tuple[str, ...], source: str) -> mi.Recipe:
    """Every text that a recipe can hold."""
    one, *_, last = texts
    made = mi.Direction(np.ones(20), 0, 1.0, 1.0, one, texts, texts[::-1])
    loaded = mi.Direction(np.ones(20), 1, 1.0, 1.0, last, kind=one)
    steps = (
        once("mean", head(), reference=mi.Reference(texts)),
        once("resample", head(), reference=mi.Reference(texts), seed=0),
        once("replace", head(), prompt=last),
        made.add(1.0).when(loaded, 0.0),
    )
    known = {"source": source, "prompt": one, "answer": [last, one], "foil": one, "model": one, "weights": one}
    return mi.Recipe(tuple(i for step in steps for i in step.interventions), known)


@pytest.mark.parametrize("source", [NASTY[0], "~/" + NASTY[1], NASTY[4]])
def test_every_text_is_a_literal(source: str) -> None:
    path = f"{MARK}\u2028'/\n\\{{}}.safetensors"
    code = full_of(NASTY, source).code(vectors=path)
    assert MARK not in outside_strings(code)
    assert {*NASTY, source, path} <= strings(code)
    assert code.isascii() or all(character.isprintable() for character in code.replace("\n", ""))


@given(st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=3, unique=True), st.text(min_size=1))
def test_any_text_is_a_literal(texts: list[str], source: str) -> None:
    marked = tuple(f"{MARK}{text}{MARK}" for text in texts)
    code = full_of(marked, f"{MARK}{source}").code(vectors=MARK)
    assert MARK not in outside_strings(code)
    assert {*marked, f"{MARK}{source}", MARK} <= strings(code)


def test_every_text_is_a_literal_in_plain_pytorch(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = tuple(text for text in NASTY if "\ud800" not in text)
    monkeypatch.setattr(llama.model, "hooks", lambda recipe, prompt: [])  # the texts have any number of tokens
    recipe = full_of(texts, "overwritten by the model's own")
    code = recipe.code(model=llama.model, flavour="huggingface", vectors=MARK)
    assert MARK not in outside_strings(code)
    assert {*texts, MARK} <= strings(code)


def test_nothing_but_what_is_needed_is_written(llama: Tiny) -> None:
    code = mi.steer.scale([mi.Site("ffn", 0)], 0.5).code(CLEAN, llama.model)
    functions = [node.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    assert functions == ["edit", "changed"]
    assert not any(name in code for name in ("hashlib", "random", "means", "contrast"))
    tree = ast.parse(full_of(NASTY, "gpt2").code(vectors="v"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert {"edit", "means", "draw", "contrast", "array", "activations"} <= defined


# -- arrays in a file --------------------------------------------------------------------------------------------------


def test_a_direction_without_texts_and_a_delta_need_their_file(llama: Tiny) -> None:
    model = llama.model
    of_texts = mi.steer.contrast(model, OTHERS[:1], OTHERS[1:], LAYER)
    assert "load_file" not in of_texts.add().code(CLEAN)
    for d in (probe(20), probe(6, LAYER, HEAD), direction(20)):
        for recipe in (d.add(), *([of_texts.when(d, 0.0)] if d.head is None else [])):
            with pytest.raises(ValueError, match=rf"'{d.name}'.*recipe\.save_vectors\(path\).*vectors=path"):
                recipe.code(CLEAN, model)
    with pytest.raises(ValueError, match=r"addition to a weight.*recipe\.save_vectors\(path\).*vectors=path"):
        addition(model, "W_Q").code(CLEAN, model)
    with pytest.raises(ValueError, match="has no arrays"):
        mi.steer.scale([head()], 0).save_vectors("nowhere.safetensors")


def test_a_program_refuses_other_arrays_than_the_recipes(fresh_saved: mi.Model, tmp_path: Path) -> None:
    recipe = probe(20).add() + addition(fresh_saved, "W_Q")
    path = recipe.save_vectors(tmp_path / "vectors.safetensors")
    code = recipe.code(CLEAN, fresh_saved, vectors=path)
    arrays = load_file(path)
    assert len(arrays) == 3 and all(key in code for key in arrays)
    agrees(fresh_saved, recipe, code)
    key = sorted(arrays)[0]
    save_file({**arrays, key: arrays[key] + 1}, path)
    with pytest.raises(AssertionError, match="has been changed"):
        exec(code, {})


@pytest.fixture
def fresh_saved(tmp_path: Path, loaded_once: None) -> mi.Model:
    return saved("llama", tmp_path / "model")


@pytest.fixture(autouse=True)
def gradients_as_they_were() -> Iterator[None]:
    """Programs turn gradients off."""
    before = torch.is_grad_enabled()
    yield
    torch.set_grad_enabled(before)


# -- tokens ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bos", ["given", "none", "by no string"])
def test_a_plain_program_reads_texts_as_the_package_does(
    tmp_path: Path, bos: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a BOS, without one, and where no text that the tokenizer is given brings the ids."""
    tiny.hugging_face("llama").save_pretrained(tmp_path)
    tokenizer = tiny.tokenizer()
    tokenizer.save_pretrained(tmp_path)
    model = mi.load(tmp_path)
    own = model.ids
    if bos != "given":
        drop = {"none": lambda ids: ids[:, 1:], "by no string": lambda ids: ids.flip(1)}[bos]
        monkeypatch.setattr(model, "ids", lambda p, bos=None: drop(own(p)) if isinstance(p, str) else own(p))
    recipe = once("mean", head(), reference=mi.Reference(OTHERS)) + once("replace", residual(), prompt=CORRUPT)
    code = recipe.code(CLEAN, model, "huggingface")
    assert ("<s>" in code) == (bos == "given") and ("tokenizer(" in code) == (bos != "by no string")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["tokens"].tolist() == model.ids(CLEAN).tolist()
    agrees(model, recipe, code, within=1e-4)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_what_has_no_code_is_refused_in_words(llama: Tiny) -> None:
    model = llama.model
    recipe = mi.steer.scale([head()], 0)
    with pytest.raises(ValueError, match=r"recipe\.code\(model=model, flavour='huggingface'\)"):
        recipe.code(CLEAN, flavour="huggingface")
    with pytest.raises(ValueError, match="no flavour 'jax'"):
        recipe.code(CLEAN, model, "jax")
    for refused, why in (
        (once("zero", head(), where="generated"), "generates no text"),
        (mi.steer.scale([head(layer=9)], 0), "layers 0 to 2"),
        (once("zero", head(position=40)), "touches nothing"),
        (once("replace", head(), prompt="a b"), "cannot be taken from"),
    ):
        for flavour in WITHIN:
            with pytest.raises(ValueError, match=why):
                refused.code(CLEAN, model, flavour)
    with pytest.raises(ValueError, match="generates no text"):
        (once("zero", head(), where="generated") + model_of("gpt2")).code()


def model_of(source: str) -> mi.Recipe:
    return mi.Recipe(provenance={"source": source})


def test_code_is_written_for_a_bridge_as_well(llama: Tiny) -> None:
    recipe = mi.steer.scale([head()], 0)
    assert recipe.code(CLEAN, llama.model.bridge) == recipe.code(CLEAN, mi.Model.of(llama.model.bridge))


def test_a_program_at_a_position_that_its_prompt_lacks_fails(fresh_saved: mi.Model) -> None:
    code = once("zero", head(position=40)).made_in(fresh_saved).code(CLEAN)
    with pytest.raises(IndexError):
        exec(code, {})


def test_half_precision_in_plain_pytorch(tmp_path: Path) -> None:
    model = saved("llama", tmp_path, torch.bfloat16)
    recipe = mi.steer.switch_off([mi.Site("head", 0, 1)], reference=OTHERS)
    code = recipe.code(CLEAN, model, "huggingface")
    assert "dtype=torch.bfloat16" in code
    agrees(model, recipe, code)
