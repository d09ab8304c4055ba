"""Targeted optimization: the rank-one edit is the formula, training touches what was picked and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi
from mi_widgets.improve.controls import controls
from mi_widgets.model.tokens import batches
from mi_widgets.steer.block import blocks
from mi_widgets.steer.edit import background

from . import tiny
from .conftest import Tiny, _small
from .test_oracle import LAYER, head, same
from .tiny import CLEAN, CORRUPT, OTHERS

TEXTS = (CLEAN, CORRUPT, *OTHERS)
RIDGE = 0.1


def weight(small: Tiny, part: str, layer: int = LAYER) -> mi.Site:
    return mi.Site("weight", layer, part=part)


# -- the rank-one edit ------------------------------------------------------------------------------------------------


def edited(small: Tiny, prompts: Any = CLEAN, subject: str = "drink", target: str = " city", **more: Any) -> mi.Recipe:
    settings = {
        "layer": LAYER,
        "steps": 30,
        "lr": 0.5,
        "bound": 20.0,
        "prefixes": 0,
        "ridge": RIDGE,
        "texts": TEXTS,
        "progress": False,
        **more,
    }
    return mi.steer.edit(small.model, prompts, subject, target, **settings)


def w_out(small: Tiny) -> np.ndarray:
    """The Hugging Face module's own matrix as [d_mlp, d_model]."""
    module, _ = small.plain.neurons(LAYER)
    matrix = module.weight.detach().numpy()
    return matrix if type(module).__name__ == "Conv1D" else matrix.T


def subject_end(small: Tiny) -> int:
    return next(n for n, token in enumerate(mi.run(small.model, CLEAN).tokens) if token["text"].endswith("drink"))


def keys(small: Tiny, text: str) -> np.ndarray:
    """What W_out reads on a text, [pos, d_mlp]."""
    return small.plain.see(small.ids(text), small.plain.neurons(LAYER))[0].numpy().astype(np.float64)


def test_a_rank_one_edit_is_the_formula(small: Tiny) -> None:
    """By hand: C and k* from the plain model, and v* from what the edit makes of k*."""
    recipe = edited(small)
    delta = recipe.interventions[0].delta
    assert recipe.interventions[0].site == weight(small, "W_out") and delta.left.shape[1] == 1
    rest = np.concatenate([keys(small, text)[1:] for text in TEXTS])
    moment = rest.T @ rest / len(rest)
    moment += RIDGE * np.trace(moment) / len(moment) * np.eye(len(moment))
    key, turned = keys(small, CLEAN)[subject_end(small)], np.linalg.inv(moment)
    old = w_out(small).astype(np.float64)
    value = key @ (old + delta.matrix)
    expected = np.outer(turned @ key, value - key @ old) / (key @ turned @ key)
    assert np.abs(delta.matrix - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.abs(value - key @ old).max() > 1e-2
    assert key @ delta.matrix == pytest.approx(delta.right[0], abs=1e-4), "k* W' is v*"


def test_a_rank_one_edit_makes_the_target_likely(small: Tiny) -> None:
    recipe = edited(small)
    losses, id_ = recipe.provenance["losses"], small.model.single(" city")
    before, after = (mi.run(small.model, CLEAN, r).logits[-1].log_softmax(-1)[id_] for r in (None, recipe))
    assert losses[0] == pytest.approx(-float(before), abs=1e-4)
    assert losses[-1] < losses[0] - 0.1 and after > before + 0.1


def test_the_key_is_a_mean_over_prompts_and_openings(llama: Tiny) -> None:
    """What the edit adds to the mean key's value is its right side exactly; to a single prompt's it is not."""
    recipe = edited(llama, prompts=[CLEAN, CORRUPT], steps=2, prefixes=2)
    delta, texts = recipe.interventions[0].delta, recipe.provenance
    assert texts["prompts"] == [CLEAN, CORRUPT] and texts["tokens"] == sum(len(keys(llama, t)) - 1 for t in TEXTS)
    assert texts["d_mlp"] == tiny.D_MLP and texts["ridge"] == RIDGE
    single = edited(llama).interventions[0].delta
    assert np.abs(single.left - delta.left).max() > 1e-3
    assert edited(llama, prompts=[CLEAN, CORRUPT], steps=2, prefixes=2, seed=0).hash == recipe.hash
    assert edited(llama, prompts=[CLEAN, CORRUPT], steps=2, prefixes=2, seed=5).hash != recipe.hash


def test_what_is_added_stays_within_its_bound(llama: Tiny) -> None:
    made = llama.plain.see(llama.ids(), (llama.plain.neurons(LAYER)[0], "out"))[0, subject_end(llama)]
    longest = np.linalg.norm(made.numpy())
    for bound in (0.25, 1e6):
        added = np.linalg.norm(edited(llama, bound=bound).interventions[0].delta.right)
        assert (added == pytest.approx(bound * longest, rel=1e-4)) == (bound == 0.25), added


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"subject": "Anna"}, "the subject 'Anna' is not in the prompt"),
        ({"subject": ""}, "is not in the prompt"),
        ({"target": " Constantinople"}, "needs exactly one"),
        ({"prompts": []}, "at least one prompt"),
        ({"layer": 3}, "layers 0 to 2"),
        ({"steps": 0}, "steps must be above 0"),
        ({"ridge": 0.0}, "ridge must be above 0"),
        ({"texts": "one text"}, "reference set"),
        ({"bound": 0}, "bound must be above 0"),
    ],
)
def test_an_edit_that_cannot_be_is_refused(llama: Tiny, change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        edited(llama, **change)


def test_the_texts_for_keys_are_none_of_those_for_side_effects() -> None:
    texts = background().texts
    assert len(texts) > 50 and len(set(texts)) == len(texts) and not set(texts) & set(mi.steer.neutral())


FACT = "Fact: the capital city of the country of {} is the city of"
NEIGHBOURS = {"Germany": " Berlin", "Spain": " Madrid", "Japan": " Tokyo", "Poland": " Warsaw"}


@pytest.mark.slow
@pytest.mark.model
def test_a_fact_is_rewritten_and_its_neighbours_stay(default_model: mi.Model) -> None:
    """On phrasings that were not optimised; a random delta of the same norm does nothing of the kind."""
    recipe = mi.steer.edit(default_model, "The capital of France is", "France", " Rome", 5, progress=False)
    (control,) = controls(default_model, recipe, 1)

    def lead(prompt: str, recipe: mi.Recipe | None, new: str, old: str) -> float:
        return mi.run(default_model, prompt, recipe).metric(new, old)

    for unseen in (FACT.format("France"), "In France, the seat of government is in the city of"):
        assert lead(unseen, None, " Rome", " Paris") < 0 < lead(unseen, recipe, " Rome", " Paris")
        assert lead(unseen, control, " Rome", " Paris") < 0
    kept = [lead(FACT.format(country), recipe, capital, " Rome") > 0 for country, capital in NEIGHBOURS.items()]
    assert all(kept)
    assert recipe.provenance["tokens"] > 2 * recipe.provenance["d_mlp"]


# -- what an object owns ----------------------------------------------------------------------------------------------


def owned(small: Tiny, *objects: Any) -> dict[str, Any]:
    return {f"{b.site}": b.rows or b.columns for b in blocks(small.model, objects)}


def columns(number: int) -> tuple[int, ...]:
    return tuple(range(number * tiny.D_HEAD, (number + 1) * tiny.D_HEAD))


def test_a_head_owns_its_queries_and_outputs_and_shared_keys_only_with_all_who_share_them(small: Tiny) -> None:
    grouped = small.shape in ("llama", "gemma2", "qwen3")
    alone = owned(small, head(LAYER, 2))
    assert alone["L1.W_Q"] == alone["L1.W_O"] == columns(2)
    assert ("L1.W_K" in alone) == ("L1.W_V" in alone) == (not grouped)
    both = owned(small, head(LAYER, 2), head(LAYER, 3))
    assert both["L1.W_Q"] == columns(2) + columns(3)
    assert both["L1.W_K"] == both["L1.W_V"] == (columns(1) if grouped else columns(2) + columns(3))


def test_neurons_layers_and_parts_of_heads_own_theirs(llama: Tiny) -> None:
    neurons = owned(llama, mi.Site("neuron", 0, 5), mi.Site("neuron", 0, 2))
    assert neurons == {"L0.W_in": (2, 5), "L0.W_gate": (2, 5), "L0.W_out": (2, 5)}
    assert owned(llama, head(0, 1, part="v"), head(0, 1, part="q")) == {"L0.W_V": columns(1), "L0.W_Q": columns(1)}
    assert set(owned(llama, mi.Site("ffn", 2))) == {"L2.W_in", "L2.W_gate", "L2.W_out"}
    assert set(owned(llama, 1)) == {f"L1.{part}" for part in mi.site.PARTS["weight"]}
    assert "L1.W_gate" not in owned(_small("gpt2"), 1)
    assert len(blocks(llama.model, "all")) == 7 * tiny.LAYERS
    assert owned(llama, mi.Site("neuron", 0, 5), mi.Site("ffn", 0))["L0.W_in"] is None, "the whole includes the part"


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ([], "nothing is selected"),
        ([mi.Site("residual", 1)], "no weights of its own"),
        ([mi.Site("head", 1, 0, "pattern")], "no weights of its own"),
        ([mi.Site("head", 1, 0, position=3)], "acts at all positions"),
        ([mi.Site("head", 1, 9)], "heads 0 to 3"),
        ([mi.Site("neuron", 1, 99)], "neurons 0 to 27"),
        ([7], "layers 0 to 2"),
        ("heads", "'all'"),
    ],
)
def test_what_has_no_weights_is_not_trained(llama: Tiny, objects: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.steer.tune(llama.model, llama.pair, objects)


# -- fine-tuning ------------------------------------------------------------------------------------------------------


def tuned(small: Tiny, objects: Any, **more: Any) -> mi.Recipe:
    pairs = [small.pair, mi.Pair(OTHERS[0], OTHERS[1], small.pair.foil, small.pair.answer)]
    return mi.steer.tune(small.model, pairs, objects, **{"lr": 0.01, "progress": False, **more})


@pytest.mark.parametrize("method", ["full", "lora"])
def test_training_lowers_the_loss_and_is_what_the_recipe_does(small: Tiny, method: str) -> None:
    before = small.model.fingerprint()
    recipe = tuned(small, [head(LAYER, 2), mi.Site("neuron", 0, 3)], method=method, rank=2)
    losses = recipe.provenance["losses"]
    assert len(losses) == 8 and losses[-1] < losses[0]
    assert small.model.fingerprint() == before
    answer = small.model.single(str(small.pair.answer)), small.model.single(str(small.pair.foil))

    def loss(recipe: mi.Recipe | None) -> float:
        texts = (CLEAN, OTHERS[0])
        logits = [mi.run(small.model, text, recipe).logits[-1].log_softmax(-1) for text in texts]
        return -float(logits[0][answer[0]] + logits[1][answer[1]]) / 2

    assert losses[0] == pytest.approx(loss(None), abs=1e-4) and loss(recipe) < losses[0] - 0.01


def test_the_gradient_is_that_of_the_weights(llama: Tiny) -> None:
    """By hand: one step of Adam is lr times the sign of the Hugging Face module's own gradient."""
    recipe = mi.steer.tune(llama.model, llama.pair, [mi.Site("neuron", LAYER, 3)], steps=1, lr=0.01, progress=False)
    hf = tiny.hugging_face("llama", "eager")
    logits = hf(llama.ids()).logits[0, -1]
    (-logits.log_softmax(-1)[llama.model.single(str(llama.pair.answer))]).backward()
    mlp = hf.model.layers[LAYER].mlp
    found = {step.site.part: step.delta.matrix for step in recipe.interventions}
    for part, gradient in (
        ("W_in", mlp.up_proj.weight.grad[3]),
        ("W_gate", mlp.gate_proj.weight.grad[3]),
        ("W_out", mlp.down_proj.weight.grad[:, 3]),
    ):
        assert np.allclose(found[part].reshape(-1), -0.01 * gradient.sign().numpy(), atol=1e-4), part


def test_only_what_was_picked_is_touched(llama: Tiny) -> None:
    recipe = tuned(llama, [head(LAYER, 2)])
    steps = {step.site.part: step.delta for step in recipe.interventions}
    assert set(steps) == {"W_Q", "W_O"} and {site.layer for site in recipe.sites} == {LAYER}
    assert steps["W_Q"].columns == steps["W_O"].rows == columns(2)
    assert recipe.provenance["parameters"] == sum(delta.size for delta in steps.values()) == 2 * 20 * tiny.D_HEAD


def test_equal_seeds_train_equal_recipes(llama: Tiny) -> None:
    made = [tuned(llama, [1], method="lora", rank=2, steps=3, batch=1, seed=seed) for seed in (0, 0, 1)]
    assert made[0].hash == made[1].hash != made[2].hash
    assert made[0].provenance["batch"] == 1 and made[0].provenance["losses"] == made[1].provenance["losses"]


def test_low_rank_additions_have_that_rank(llama: Tiny) -> None:
    recipe = tuned(llama, [1], method="lora", rank=2, steps=2)
    assert all(step.delta.right.shape[0] == 2 for step in recipe.interventions)
    assert all(np.abs(step.delta.matrix).max() > 0 for step in recipe.interventions)


def test_what_was_trained_comes_back_from_its_file(llama: Tiny, tmp_path: Any) -> None:
    recipe = tuned(llama, [head(LAYER, 2)], steps=2)
    back = mi.Recipe.load(recipe.save(tmp_path / "tuned.json"))
    assert back.hash == recipe.hash and back.provenance == recipe.provenance
    same(mi.run(llama.model, CLEAN, back).logits, mi.run(llama.model, CLEAN, recipe).logits, 1e-6)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_was_trained_can_be_baked(small: Tiny, method: str) -> None:
    recipe = tuned(small, [head(LAYER, 2), mi.Site("neuron", 0, 3)], method=method, rank=2, steps=2)
    baked = mi.bake(small.model, recipe)
    assert baked.label == "exact", str(baked)


@pytest.mark.parametrize("change", [{"method": "qlora"}, {"steps": 0}, {"rank": 0}, {"batch": 0}, {"lr": -1.0}])
def test_impossible_training_is_refused(llama: Tiny, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        tuned(llama, [1], **change)


def test_training_that_breaks_the_model_says_so(llama: Tiny) -> None:
    with pytest.raises(ValueError, match=r"not a number at step 1.*lr=1e\+29"):
        tuned(llama, [1], lr=1e30)


def test_training_can_be_stopped(llama: Tiny) -> None:
    """Its own progress asks it to stop after the second step."""
    heard: list[int] = []

    def tick(done: int, of: int) -> None:
        heard.append(done)
        if done == 2:
            llama.model.worker.job.stop()

    with pytest.raises(mi.model.Stopped):
        tuned(llama, [1], progress=tick)
    assert heard == [1, 2]


def test_batches_hold_every_prompt_once_with_its_own_length() -> None:
    prompts = [torch.full((1, length), n) for n, length in enumerate((3, 5, 3, 3, 5))]
    found = batches(prompts, most=6)
    assert sorted(n for numbers, _ in found for n in numbers) == [0, 1, 2, 3, 4]
    for numbers, ids in found:
        assert torch.equal(ids, torch.cat([prompts[n] for n in numbers])) and ids.numel() <= 6


# -- learned subspaces ------------------------------------------------------------------------------------------------


def learned(small: Tiny, **more: Any) -> mi.Subspace:
    settings = {"layer": LAYER, "position": "first difference", "dimensions": 2, "epochs": 20, "lr": 0.05, **more}
    return mi.steer.subspace(small.model, small.pair, **settings)


def test_a_learned_subspace_takes_the_answer_along(small: Tiny) -> None:
    """The corrupt prompt with the clean one's two coordinates moves toward the answer, more than with random ones."""
    before = small.model.fingerprint()
    space = learned(small)
    assert small.model.fingerprint() == before
    losses = space.provenance["losses"]
    assert len(losses) == 20 and losses[-1] < losses[0] and space.basis.shape == (2, small.model.d_model)
    ids = small.ids(), small.ids(CORRUPT)
    place = int((ids[0] != ids[1]).nonzero()[0, 1])

    def gain(swapped: mi.Subspace) -> float:
        """How far the two interchanges move the difference to where they should."""
        answer, foil = small.pair.answer, small.pair.foil
        up = mi.run(small.model, CORRUPT, swapped.swap(CLEAN, [place])).metric(answer, foil)
        down = mi.run(small.model, CLEAN, swapped.swap(CORRUPT, [place])).metric(answer, foil)
        return up - down

    rng = np.random.default_rng(0)
    others = [np.linalg.qr(rng.standard_normal((small.model.d_model, 2)))[0].T for _ in range(5)]
    assert gain(space) > max(gain(mi.Subspace(other, LAYER)) for other in others)


def test_prompts_of_several_lengths_are_aligned_where_each_ends(llama: Tiny) -> None:
    """The loss of the first epoch at a subspace of all dimensions is that of whole activations, by plain hooks."""
    pairs = [llama.pair, mi.Pair(OTHERS[0], OTHERS[0].replace("France", "Berlin"), " city", " dog")]
    assert len({llama.ids(pair.clean).shape[1] for pair in pairs}) == 2
    space = mi.steer.subspace(llama.model, pairs, LAYER, "last", llama.model.d_model, epochs=1, batch=8)
    losses = []
    for pair in pairs:
        answer, foil = (llama.model.single(str(word)) for word in (pair.answer, pair.foil))
        for base, source, sign in ((pair.clean, pair.corrupt, -1), (pair.corrupt, pair.clean, 1)):
            there = llama.plain.residual(llama.ids(source), LAYER, "post")[:, -1:]
            edit = llama.plain.post(LAYER), tiny.put(there, slice(-1, None))
            logits = llama.plain.logits(llama.ids(base), edit)[-1]
            losses.append(float(torch.nn.functional.softplus(-sign * (logits[answer] - logits[foil]))))
    assert space.provenance["losses"][0] == pytest.approx(np.mean(losses), abs=1e-3)


def test_equal_seeds_learn_equal_subspaces(llama: Tiny) -> None:
    made = [learned(llama, epochs=2, seed=seed).hash for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"position": "subject"}, "its roles are first difference, last"),
        ({"position": 40}, "none at 40"),
        ({"dimensions": 21}, "dimensions must be 1 to 20"),
        ({"layer": 3}, "layers 0 to 2"),
    ],
)
def test_a_subspace_that_cannot_be_is_refused(llama: Tiny, change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        learned(llama, **change)
    with pytest.raises(ValueError, match="equally many"):
        mi.steer.subspace(llama.model, mi.Pair(CLEAN, OTHERS[0], " city", " dog"), LAYER)
