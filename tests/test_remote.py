"""Recipes as specs for a served model: TransformerLens's own arithmetic on them gives what the hooks give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge.sources.vllm.intervention_specs import validate_spec
from transformer_lens.model_bridge.sources.vllm.overlays import get_overlay
from transformer_lens.model_bridge.sources.vllm.worker_extension import _apply_intervention

import mi_widgets as mi
from mi_widgets.intervention import Intervention
from mi_widgets.steer.remote import Served

from .conftest import Tiny
from .test_bake import delta
from .test_oracle import LAYER, direction, head, once, residual, same
from .tiny import CLEAN, CORRUPT, OTHERS

FFN, EMBEDDING = mi.Site("ffn", LAYER), mi.Site("embedding")


def engine(hf: Any, ids: torch.Tensor, served: Served) -> torch.Tensor:
    """Logits of a served model: TransformerLens's affine buffers at the paths of its overlay, which Llama's are too."""
    width, length = hf.config.hidden_size, ids.shape[1]
    paths = {hook: path for hook, (path, _) in get_overlay("LlamaForCausalLM").capture_specs(hf.config).items()}
    with ExitStack() as stack, torch.no_grad():
        for hook, spec in served.specs.items():
            assert validate_spec(hook, spec, width=width) == spec
            factor, value = torch.ones(length, width), torch.zeros(length, width)
            _apply_intervention(factor, value, spec)
            stack.enter_context(_mapped(hf.get_submodule(paths[hook]), factor, value))
        return hf(ids).logits[0]


@contextmanager
def _mapped(module: torch.nn.Module, factor: torch.Tensor, value: torch.Tensor) -> Iterator[None]:
    def hook(module: Any, args: Any, out: Any) -> Any:
        return (out[0] * factor + value, *out[1:]) if isinstance(out, tuple) else out * factor + value

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def added(site: mi.Site, width: int) -> mi.Recipe:
    return once("add", site, amount=0.7, direction=direction(width))


def expressible(width: int) -> dict[str, mi.Recipe]:
    d, reference = direction(width), mi.Reference(OTHERS)
    here = residual(position=4)
    return {
        "zero": once("zero", FFN),
        "half of zero": once("zero", FFN).at(0.5),
        "scale": once("scale", residual(part="post"), amount=0.3),
        "scale of the embedding": once("scale", EMBEDDING, amount=0.5),
        "add": d.add(0.7),
        "twice half of it": d.add(0.7).at(0.5) + d.add(0.7).at(0.5),
        "add before a block": added(residual(), width),
        "add before the first block": added(residual(0), width),
        "add in the middle": added(residual(part="mid"), width),
        "add at positions": d.add(0.7, positions=[2, 0, 5]),
        "add at the last position": d.add(0.7, positions=[-1]),
        "add in the prompt": d.add(0.7, where="prompt"),
        "zero but at the first": mi.Recipe((Intervention("zero", FFN, spare_first=True),)),
        "mean at a position": once("mean", here, reference=reference),
        "set": once("zero", residual()) + added(residual(), width),
        "what leaves before what enters": added(residual(0), width).at(0.5) + once("zero", EMBEDDING),
        "two hooks": once("zero", FFN) + d.add(0.7),
    }


@pytest.mark.parametrize("name", expressible(4))
def test_a_served_model_does_what_the_hooks_do(llama: Tiny, name: str) -> None:
    recipe = expressible(llama.model.d_model)[name]
    served = recipe.to_vllm(llama.model, CLEAN)
    assert served.missing == ()
    found, hooked = engine(llama.plain.hf, llama.ids(), served), mi.run(llama.model, CLEAN, recipe).logits
    same(found, hooked)
    assert (hooked - mi.run(llama.model, CLEAN).logits).abs().max() > 1e-3


def test_steps_of_one_hook_become_one_spec(llama: Tiny) -> None:
    d = direction(llama.model.d_model)
    served = (d.add(0.5) + d.add(0.25)).to_vllm(llama.model)
    assert list(served.specs) == [f"blocks.{LAYER}.hook_out"] and not served.needs_positions
    assert np.allclose(served.specs[f"blocks.{LAYER}.hook_out"]["value"], 0.75 * d.norm * d.vector)
    at = d.add(0.5, positions=[4, 2]).to_vllm(llama.model)
    assert at.specs[f"blocks.{LAYER}.hook_out"]["pos"] == [2, 4] and at.needs_positions


def test_the_first_positions_mean_is_its_own(llama: Tiny) -> None:
    """All texts begin with the same token, so that their mean there is what any of them has."""
    served = once("mean", residual(position=0), reference=mi.Reference(OTHERS)).to_vllm(llama.model)
    spec = served.specs[f"blocks.{LAYER - 1}.hook_out"]
    assert (spec["op"], spec["pos"]) == ("set", [0])
    same(torch.tensor(spec["value"]), llama.plain.residual(llama.ids(), LAYER, "pre")[0, 0])


def test_half_of_zero_is_a_scale(llama: Tiny) -> None:
    served = (once("zero", FFN).at(0.25) + once("zero", residual(0))).to_vllm(llama.model)
    assert served.specs == {
        f"blocks.{LAYER}.mlp.hook_out": {"op": "scale", "factor": 0.75},
        "embed.hook_out": {"op": "suppress"},
    }


def inexpressible(width: int) -> dict[str, mi.Recipe]:
    d, heads, stream = direction(width), mi.Selection((head(),)), mi.Selection((residual(),))
    other = mi.Site("ffn", 0)
    return {
        "no hook for a head": once("zero", head()),
        "no hook for a neuron": once("zero", mi.Site("neuron", LAYER, 3)),
        "bake them first": delta(width, "W_O"),
        "hook for attention patterns": heads.knock_out([(3, 1)], renormalise=True),
        "no condition": d.add(0.7).when(d, above=0.0),
        "from another prompt": stream.replace(CORRUPT),
        "from another text": stream.switch_off("resample", (CORRUPT,)),
        "a bound": stream.clamp(-1.0, 1.0),
        "length back": d.add(0.7, keep_norm=True),
        "mixes the numbers": d.project_out(everywhere=True),
        "cannot begin behind": d.add(0.7, where="generated"),
        "keeps its own mean": stream.switch_off(reference=OTHERS),
        "only an addition": once("zero", residual(part="mid")),
        "scales or adds, not both": once("scale", other, amount=0.5) + once("add", other, amount=1.0, direction=d),
        "at other positions": once("zero", other) + once("scale", mi.Site("ffn", 0, position=3), amount=2.0),
    }


@pytest.mark.parametrize("why", inexpressible(4))
def test_what_no_spec_can_say_is_named(llama: Tiny, why: str) -> None:
    good, bad = once("zero", FFN), inexpressible(llama.model.d_model)[why]
    served = (good + bad).to_vllm(llama.model, CLEAN)
    assert served.specs[f"blocks.{LAYER}.mlp.hook_out"] == {"op": "suppress"}
    assert len(served.missing) == 1 and why in served.missing[0] and str(bad.interventions[-1]) in served.missing[0]
    assert len(served.specs) == len(bad)


def test_what_needs_the_prompt_says_so(llama: Tiny) -> None:
    d = direction(llama.model.d_model)
    for recipe in (d.add(0.7, positions=[-1]), d.add(0.7, where="prompt")):
        served = recipe.to_vllm(llama.model)
        assert served.specs == {} and "recipe.to_vllm(model, prompt)" in served.missing[0]


def test_positions_and_sites_that_are_not_there_are_refused(llama: Tiny) -> None:
    d = direction(llama.model.d_model)
    with pytest.raises(ValueError, match="touches nothing"):
        d.add(0.7, positions=[-99]).to_vllm(llama.model, CLEAN)
    with pytest.raises(ValueError, match="touches nothing"):
        d.add(0.7, positions=[99]).to_vllm(llama.model, CLEAN)
    with pytest.raises(ValueError, match="layers 0 to 2"):
        once("zero", mi.Site("ffn", 7)).to_vllm(llama.model)


def test_where_an_engine_takes_another_tensor_nothing_is_served(small: Tiny) -> None:
    """Post-norms, multiplied embeddings and position embeddings lie between its hooks and the model's own."""
    width = small.model.d_model
    refused = {
        "gemma2": [once("scale", FFN, amount=0.5), added(residual(part="mid"), width), added(EMBEDDING, width)],
        "gpt2": [added(residual(0), width)],
    }
    for recipe in refused.get(small.shape, []):
        served = recipe.to_vllm(small.model)
        assert served.specs == {} and len(served.missing) == 1
    assert direction(width).add(0.7).to_vllm(small.model).missing == ()


def test_nothing_is_nothing(llama: Tiny) -> None:
    assert once("scale", head(), amount=1.0).to_vllm(llama.model) == Served({})


def test_numbers_that_no_spec_can_hold_are_missing(llama: Tiny) -> None:
    served = mi.Selection((mi.Site("ffn", 1),)).scale(1e308).at(10).to_vllm(llama.model)
    assert not served.specs and "too large" in served.missing[0]
