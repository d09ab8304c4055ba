"""Maps of models of which it is known what does the job: a hand-built one, and the default one's induction heads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import mi_widgets as mi
from mi_widgets.intervention import Intervention

WORDS, PLACES, HEADS = 20, 20, 2  # d_model holds a word, a place, the word before, and the word that comes next
WIDTH = 3 * WORDS + PLACES
WORD, PLACE, BEFORE, NEXT = (
    slice(0, 20),
    slice(20, 40),
    slice(40, 60),
    slice(60, 80),
)
PREVIOUS, INDUCTION = (0, 1), (1, 0)
OTHERS = ("w11 w12 w13 w14 w15 w16 w17 w11", "w18 w17 w16 w15 w14 w13 w12 w18")
SMOL = ((18, 6), (17, 3), (17, 4), (17, 5), (18, 7))


def induction_model() -> mi.Model:
    """Two layers whose MLPs are nothing: head 0.1 fetches the word before, head 1.0 what came after its like.

    The two other heads are small noise.
    """
    config = GPT2Config(
        vocab_size=WORDS, n_embd=WIDTH, n_layer=2, n_head=HEADS, n_positions=PLACES, n_inner=4,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        _build(model)
    model.config.architectures = ["GPT2LMHeadModel"]
    words = Tokenizer(models.WordLevel({f"w{n}": n for n in range(WORDS)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return mi.Model(model, PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0"), "hand-built")


def _build(model: GPT2LMHeadModel) -> None:
    one = torch.eye(WORDS)
    for block in model.transformer.h:
        for weight in block.mlp.parameters():
            weight.zero_()
        for weight in block.attn.parameters():
            weight.mul_(0.1)
    for table in (model.transformer.wte.weight, model.transformer.wpe.weight, model.lm_head.weight):
        table.zero_()
    model.transformer.wte.weight[:, WORD] = one
    model.transformer.wpe.weight[:, PLACE] = torch.eye(PLACES)
    model.lm_head.weight[:, NEXT] = one
    _head(model, *PREVIOUS, query=(PLACE, torch.eye(PLACES).roll(-1, 1)), key=PLACE, value=WORD, out=BEFORE)
    _head(model, *INDUCTION, query=(WORD, one), key=BEFORE, value=WORD, out=NEXT)


def _head(
    model: GPT2LMHeadModel,
    layer: int,
    head: int,
    query: tuple[slice, torch.Tensor],
    key: slice,
    value: slice,
    out: slice,
) -> None:
    """A head that looks from `query` to the same thing in `key`, and copies `value` to `out`."""
    attn, n, width = model.transformer.h[layer].attn, WORDS, WIDTH // HEADS
    joint, first = attn.c_attn.weight, head * width
    for part in range(3):
        joint[:, part * WIDTH + first : part * WIDTH + first + width] = 0
    joint[query[0], first : first + n] = 5 * query[1]
    joint[key, WIDTH + first : WIDTH + first + n] = torch.eye(n)
    joint[value, 2 * WIDTH + first : 2 * WIDTH + first + n] = torch.eye(n)
    attn.c_proj.weight[first : first + width] = 0
    attn.c_proj.weight[first : first + n, out] = 0.16 * torch.eye(n)


@pytest.mark.parametrize("method", ["denoise", "noise", "zero", "mean", "resample"])
def test_the_map_finds_the_two_heads_that_do_the_job(method: str) -> None:
    """ "x y … x" is followed by y; without the first x nothing says so."""
    model = induction_model()
    rest = "w3 w4 w5 w6 w7 w1"
    pair = mi.Pair(f"w1 w2 {rest}", f"w9 w2 {rest}", "w2", "w4")
    assert mi.run(model, pair.clean).top(1)[0][0] == "w2"
    reference = OTHERS if method in ("mean", "resample") else None
    grid = mi.locate.causal(model, pair, "heads", method, reference=reference, progress=False)
    gap = mi.run(model, pair.clean).metric("w2", "w4") - mi.run(model, pair.corrupt).metric("w2", "w4")
    strength = np.abs(grid.values.filled(np.nan)) / gap
    assert strength[PREVIOUS] > 0.5 and strength[INDUCTION] > 0.5
    others = [strength[cell] for cell in np.ndindex(2, HEADS) if cell not in (PREVIOUS, INDUCTION)]
    assert max(others) < 0.05
    model.close()


def test_the_map_finds_where_they_look() -> None:
    model = induction_model()
    pair = mi.Pair("w1 w2 w3 w4 w5 w6 w7 w1", "w9 w2 w3 w4 w5 w6 w7 w1", "w2", "w4")
    cut = {at: mi.locate.causal(model, pair, pairs=[at], progress=False).values for at in ((1, 0), (7, 1), (7, 3))}
    gap = mi.run(model, pair.clean).metric("w2", "w4") - mi.run(model, pair.corrupt).metric("w2", "w4")
    assert cut[1, 0][PREVIOUS] < -0.5 * gap and cut[7, 1][INDUCTION] < -0.5 * gap
    assert abs(cut[1, 0][INDUCTION]) < 0.05 * gap and abs(cut[7, 3][INDUCTION]) < 0.05 * gap
    model.close()


def repeated(model: mi.Model, heads: Sequence[tuple[int, int]]) -> float:
    """Top-1 accuracy on the second half of random tokens that come twice, with heads at zero."""
    sites = [mi.Site("head", *where) for where in heads]
    recipe = mi.Recipe(tuple(Intervention("zero", site) for site in sites))
    random, right = torch.Generator().manual_seed(0), []
    for _ in range(4):
        half = torch.randint(1000, 40000, (25,), generator=random)
        run = mi.run(model, torch.cat([half, half]), recipe)
        right.append((run.logits[25:-1].argmax(-1).cpu() == half[1:]).float().mean())
    return float(torch.stack(right).mean())


@pytest.mark.model
@pytest.mark.slow
def test_the_induction_heads_of_the_default_model(default_model: mi.Model) -> None:
    whole = repeated(default_model, ())
    assert whole > 0.6 and repeated(default_model, SMOL) < 0.1
    rng = np.random.default_rng(0)
    others = [(layer, head) for layer in (17, 18) for head in range(default_model.n_heads) if (layer, head) not in SMOL]
    for _ in range(3):
        drawn = [others[i] for i in rng.choice(len(others), len(SMOL), replace=False)]
        assert repeated(default_model, drawn) > whole - 0.2
