"""Which steps can be baked into which models, and by how much hooks and weights then differ (docs/baking.md).

    .venv/bin/python benchmarks/bake.py

Small random models of five block shapes, with the default model's tokenizer, and the default model itself. Each cell is
the largest absolute difference of a logit, at any position of the package's neutral texts, in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import mi_widgets as mi
from mi_widgets.delta import Delta
from mi_widgets.intervention import Intervention
from mi_widgets.model.places import weight_shape

LAYER, WIDTH = 1, 64
_GROUPED = {
    "hidden_size": WIDTH, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "intermediate_size": 128, "max_position_embeddings": 128, "initializer_range": 0.1,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": _GROUPED,
    "gpt2": {"n_embd": WIDTH, "n_layer": 4, "n_head": 4, "n_positions": 128, "initializer_range": 0.1},
    "gpt_neox": {key: value for key, value in _GROUPED.items() if key not in ("num_key_value_heads", "head_dim")},
    "qwen3": _GROUPED,
    "gemma2": _GROUPED,
}


def main() -> None:
    """Print one row for each step, and one column for each model."""
    torch.set_num_threads(1)
    default = mi.load()
    models = [*(random_model(kind, default.tokenizer) for kind in CONFIGS), default]
    print("| step |", " | ".join(model.name for model in models), "|")
    print("|---|" + "---|" * len(models))
    for name in steps(default):
        print(f"| {name} |", " | ".join(cell(model, steps(model)[name]) for model in models), "|", flush=True)


def random_model(kind: str, tokenizer: Any) -> mi.Model:
    """A random model with norm weights and biases that are not 1 and 0."""
    torch.manual_seed(0)
    hf = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, vocab_size=len(tokenizer), **CONFIGS[kind])).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return mi.Model(hf, tokenizer, kind)


def steps(model: mi.Model) -> dict[str, mi.Recipe]:
    """One recipe for each kind of step."""
    vector = np.random.default_rng(0).standard_normal(model.d_model)
    direction = mi.Direction(vector, LAYER, norm=3.0, natural=0.5)
    head, ffn = mi.Site("head", LAYER, 1), mi.Site("ffn", LAYER)
    w_o = mi.Site("weight", LAYER, part="W_O")
    inputs = np.random.default_rng(1).standard_normal((model.do(lambda: weight_shape(model, w_o))[0], 1))
    added = Intervention("delta", w_o, delta=Delta(0.01 * inputs, vector[None]))
    return {
        "head × 0": mi.Selection((head,)).scale(0.0),
        "head at its mean": mi.Selection((head,)).switch_off(),
        "query × 0.5": mi.Selection((mi.Site("head", LAYER, 1, "q"),)).scale(0.5),
        "key × 0.5": mi.Selection((mi.Site("head", LAYER, 1, "k"),)).scale(0.5),
        "value × 0.5": mi.Selection((mi.Site("head", LAYER, 1, "v"),)).scale(0.5),
        "neuron × 0": mi.Selection((mi.Site("neuron", LAYER, 5),)).scale(0.0),
        "neuron at its mean": mi.Selection((mi.Site("neuron", LAYER, 5),)).switch_off(),
        "FFN × 0.5": mi.Selection((ffn,)).scale(0.5),
        "embedding × 0.5": mi.Selection((mi.Site("embedding"),)).scale(0.5),
        "direction added after a block": direction.add(),
        "direction out everywhere, `first=True`": direction.project_out(everywhere=True, first=True),
        "direction out everywhere": direction.project_out(everywhere=True),
        "addition to W_O": mi.Recipe((added,)),
        "direction out at one place": direction.project_out(),
        "head × 0 at one position": mi.Selection((mi.Site("head", LAYER, 1, position=2),)).scale(0.0),
    }


def cell(model: mi.Model, recipe: mi.Recipe) -> str:
    """The label, and the difference where there are weights."""
    baked = mi.bake(model, recipe)
    return "not bakeable" if baked.difference is None else f"{baked.label}, {baked.difference:.2g}"


if __name__ == "__main__":
    main()
