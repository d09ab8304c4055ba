"""The lens on models that scale their logits: the last row is the model's own output, or the reading is wrong."""

from __future__ import annotations

from typing import Any

import pytest

import mi_widgets as mi

from . import tiny

SCALED = {
    "granite": {"model_type": "granite", **tiny._grouped(logits_scaling=3.0, hidden_size=24)},
    "cohere": {"model_type": "cohere", **tiny._grouped(logit_scale=0.3, hidden_size=24)},
}


@pytest.mark.parametrize("shape", SCALED)
def test_the_last_row_of_the_lens_is_the_models_own_output(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tiny.CONFIGS, shape, _config(shape))
    model = mi.Model(tiny.hugging_face(shape), tiny.tokenizer())
    own = mi.run(model, tiny.CLEAN).logits.softmax(-1).amax(-1)
    assert mi.locate.lens(model, tiny.CLEAN).values[-1].tolist() == pytest.approx(own.tolist(), abs=1e-5)


def _config(shape: str) -> dict[str, Any]:
    return {key: value for key, value in SCALED[shape].items() if key != "head_dim"}
