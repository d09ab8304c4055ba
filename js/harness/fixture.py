"""Made-up numbers that look like a model's, in the real views: what the harness draws. A development tool."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mi_widgets.view import AttentionMap, AttributionMap, Axis, BenchMap, Choice, Heatmap, LensMap, Loop, Panel, Top
from mi_widgets.view.picture import companded, pooled, thumbnails

LAYERS, HEADS = 30, 9
WORDS = [
    "<|endoftext|>",
    "When",
    "·Mary",
    "·and",
    "·John",
    "·went",
    "·to",
    "·the",
    "·store",
    ",",
    "·John",
    "·gave",
    "·a",
]
WORDS += ["·drink", "·to"]
PROMPT = "When Mary and John went to the store, John gave a drink to"
ODD = ["·Paris", "·שלום", "‹E2 80›", "↵", "<b>bold</b>", "·extraordinarily"]
METRIC = 'logit(" Mary") − logit(" John")'
MODEL = {
    "model": "SmolLM2-135M-Instruct",
    "weights": "3f9a2c1e",
    "tokens": "15 with BOS",
    "recipe": "",
    "versions": "mi_widgets 0.1.0, transformer-lens 4.3",
}
STRONG = {
    (0, 0): 0.5,
    (15, 3): 1.4,
    (16, 0): 0.9,
    (19, 2): 0.8,
    (20, 0): 1.1,
    (23, 3): 2.28,
    (23, 1): -0.9,
    (24, 4): -1.2,
}
DIRECTIONS = [{"name": "cheerful", "layer": 19, "natural": 0.14}, {"name": "formal", "layer": 12, "natural": 0.09}]


def token(index: int, text: str, bos: bool = False) -> dict[str, Any]:
    """A token label."""
    kind = "special" if bos else "partial" if "‹" in text else "space" if text in "↵·⇥" else "text"
    return {"index": index, "id": 100 + index, "text": text, "kind": kind, "bos": bos}


def tokens(words: list[str]) -> list[dict[str, Any]]:
    """The labels of a prompt."""
    return [token(i, word, bos=i == 0) for i, word in enumerate(words)]


def layers(count: int = LAYERS) -> Axis:
    """The layer axis."""
    return Axis("layer", [str(i) for i in range(count)])


def positions(words: list[str]) -> Axis:
    """The position axis of these tokens."""
    return Axis("position", words)


def heads_panel(random: np.random.Generator) -> Panel:
    """A few strong heads among many weak ones."""
    values = random.normal(0, 0.06, (LAYERS, HEADS)) * np.linspace(0.3, 1.6, LAYERS)[:, None]
    for (layer, head), effect in STRONG.items():
        values[layer, head] = effect
    sign = "Positive: putting the clean output back moves the logit difference toward the clean answer."
    heads = Axis("head", [str(i) for i in range(HEADS)])
    return Panel("heads", layers(), heads, values, title="Attention heads, exact denoising", unit="logits", sign=sign)


def residual_panel(random: np.random.Generator, words: list[str]) -> Panel:
    """An effect that moves from the name to the last position, and a corner not computed yet."""
    values = random.normal(0, 0.03, (LAYERS, len(words)))
    depth = np.linspace(0, 1, LAYERS)
    values[:, 10 % len(words)] += 4.5 / (1 + np.exp(14 * (depth - 0.55)))
    values[:, -1] += 4.5 / (1 + np.exp(-14 * (depth - 0.62)))
    values[26:, :3] = np.nan
    estimated = np.zeros(values.shape, bool)
    estimated[:14] = True
    sign = "Positive: the clean residual stream here brings the clean answer back."
    return Panel(
        "residual",
        layers(),
        positions(words),
        values,
        title="Residual stream before each layer",
        unit="logits",
        sign=sign,
        excluded=[0],
        estimated=estimated,
    )


def result(text: str | None, singles: bool = True) -> dict[str, Any]:
    """A finished run; without text, one that still generates."""
    random = np.random.default_rng(3)
    before = [("·Mary", 0.61), ("·them", 0.09), ("·the", 0.06), ("·John", 0.031), ("·her", 0.02)]
    after = [("·John", 0.29), ("·the", 0.17), ("·Mary", 0.12), ("·them", 0.08), ("·a", 0.0007)]
    side = lambda metric, top, said: {  # noqa: E731
        "metric": metric,
        "top": [{"token": token(i, word), "probability": p} for i, (word, p) in enumerate(top)],
        "text": said,
    }
    return {
        "picks": [[0, 15, 3], [0, 23, 3]],
        "act": {"verb": "switch_off", "kind": "mean"},
        "tray": [],
        "metric": "logit(·Mary) − logit(·John)",
        "before": side(4.9213, before, "Mary. She thanked him and drank it slowly." if text else None),
        "after": side(1.5071, after, text),
        "difference": -3.41423456789,
        "singles": [{"label": "L15H3", "difference": -0.84}, {"label": "L23H3", "difference": -1.95}]
        if singles
        else [],
        "sum_of_singles": -2.79 if singles else None,
        "frozen": -2.6021 if singles else None,
        "control": {
            "label": "the same edit on 20 random pairs of active heads of layers 15 and 23",
            "values": list(random.normal(-0.1, 0.4, 20)),
            "beats": 20,
        },
        "side": {"before": 21.3, "after": 22.1},
        "curve": {
            "strengths": [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0],
            "differences": [0.0, -0.7, -1.6, -2.6, -3.41423456789, -4.0, -4.3, -4.1],
            "collapsed": [False] * 7 + [True],
        },
        "notes": ["The two heads together do more than the sum of each alone: they back each other up."],
        "warnings": [],
        "hooks": ["blocks.15.attn.hook_z", "blocks.23.attn.hook_z"],
    }


def shared(words: list[str] = WORDS) -> dict[str, Any]:
    """The traits that all live views have."""
    return {"prompt": PROMPT, "tokens": tokens(words), "provenance": MODEL, "directions": DIRECTIONS, "runnable": True}


def attribution(**more: Any) -> Loop:
    """An attribution map in some state."""
    random = np.random.default_rng(0)
    panels = [heads_panel(random), residual_panel(random, WORDS)]
    return AttributionMap(panels, title="Which parts carry the name", **{**shared(), **more})


PAIRS = ("mean of 4 pairs", *(f"{i}: Mary / John (John → Mary)" for i in range(1, 5)))


def offered(objects: str, **more: Choice) -> list[dict[str, Any]]:
    """What an attribution view lets a person choose."""
    kinds = ("overview", "heads", "head positions", "residual", "tokens", "neurons", "ffn")
    every = {
        "objects": Choice("objects", "Show", objects, tuple((kind, kind) for kind in kinds)),
        "pair": Choice("pair", "Pair", "1", tuple(enumerate_options(PAIRS)), ordered=True),
        "effect": Choice("effect", "Effect", "both", tuple((name, name) for name in ("total", "direct", "both"))),
        "method": Choice("method", "Method", "denoise", tuple((n, n) for n in ("denoise", "noise", "zero", "mean"))),
        **more,
        "range": Choice("range", "Colours", "auto", (("auto", "auto"), ("fixed", "fixed"))),
    }
    return [replace(choice, instrument="attribution").wire() for choice in every.values()]


def enumerate_options(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Options numbered from 0."""
    return [(str(i), label) for i, label in enumerate(labels)]


def both(**more: Any) -> Loop:
    """Total effect and direct part in one range of colours."""
    random = np.random.default_rng(0)
    total = heads_panel(random)
    least = np.where(np.abs(total.values) > 1, 1.3, 0.2)
    said = "Colours go to the largest number of both maps."
    whole = ["Total effect: straight and through later layers.", "Exact: 270 of 270.", said]
    part = ["Direct part: what is missing goes through later layers.", said]
    title, values = "Attention heads, direct part", total.values * least
    panels = [
        replace(total, range=(-3.0, 3.0), notes=whole),
        replace(total, name="heads-direct", title=title, values=values, range=(-3.0, 3.0), notes=part),
    ]
    return AttributionMap(panels, title="Which parts carry the name", choices=offered("heads"), **{**shared(), **more})


def neurons() -> Loop:
    """A page of neurons, some of them not yet exact."""
    random = np.random.default_rng(4)
    places = [
        (int(layer), int(index))
        for layer, index in zip(random.integers(0, 30, 20), random.integers(0, 1536, 20), strict=True)
    ]
    guess = np.sort(np.abs(random.normal(0, 0.5, 20)))[::-1] * random.choice([-1, 1], 20)
    exact = guess * random.uniform(0.7, 1.6, 20)
    exact[12:] = np.nan
    panel = Panel(
        "neurons",
        Axis("layer·neuron", [f"L{layer}N{index}" for layer, index in places], places),
        Axis("effect", ["estimate", "exact", "direct"]),
        np.stack([guess, exact, guess * random.uniform(-0.2, 1, 20)], axis=1),
        title="Neurons: effect of restoring each from the clean run. Ranks 21–40 of 46,080",
        unit="logits",
        sign="Positive: the clean activation brings the clean answer back.",
        notes=["Exact: 12 of the 20 neurons of this page; the others are estimated only."],
        kind="neuron",
        part="post",
    )
    ranks = tuple(enumerate_options([f"{20 * i + 1}–{20 * i + 20}" for i in range(50)]))
    choices = offered("neurons", page=Choice("page", "Ranks", "1", ranks, ordered=True))
    title = "Which parts carry the name"
    return AttributionMap([panel], title=title, choices=choices, picks=[(0, 1, 1)], **shared())


def one_row() -> Loop:
    """Tokens, of an ablation: negative supports the answer, and is blue."""
    values = np.random.default_rng(6).normal(-0.6, 1.4, (1, len(WORDS)))
    panel = Panel(
        "tokens",
        Axis("", [""]),
        Axis("position", WORDS, [(i,) for i in range(len(WORDS))]),
        values,
        title="Token embeddings: effect of setting each to zero",
        unit="logits",
        sign="Negative: without this activation the answer loses.",
        notes=["Exact: 15 of 15.", "Colours are fixed for every pair, method and page; 2 numbers lie beyond."],
        range=(-2.0, 2.0),
        toward=-1,
        excluded=[0],
        kind="embedding",
        part="out",
    )
    return AttributionMap([panel], title="Which parts carry the name", choices=offered("tokens"), **shared())


JOINT = {
    "label": "2 picked cells put back from the clean run, all at once; mean of 4 pairs",
    "unit": "logits",
    "toward": 1,
    "effect": 3.71,
    "sum": 3.68,
    "control": {
        "label": "random sets of 2 other heads of the same layers",
        "values": list(np.random.default_rng(7).normal(0.1, 0.4, 20)),
        "beats": 20,
    },
}


def lens(words: list[str] = WORDS, **more: Any) -> Loop:
    """A lens map with awkward tokens in it."""
    random = np.random.default_rng(1)
    said = [token(i, text) for i, text in enumerate([w for w in WORDS[1:]] + ODD)]
    rows, cols, k = LAYERS, len(words), 5
    sure = np.linspace(0.02, 0.85, rows)[:, None] * random.uniform(0.3, 1, cols)
    ids = random.integers(0, len(said), (rows, cols, k)).astype(np.int32)
    ids[18:, :, 0] = ids[-1, :, 0]
    values = sure[..., None] * 0.5 ** np.arange(k)
    panel = Panel(
        "lens",
        Axis("layer", [str(i) for i in range(rows)], [[i] for i in range(rows)]),
        Axis("position", words, [[i] for i in range(cols)]),
        sure,
        title="Logit lens: probability of the most probable token, read after each block",
        scale="sequential",
        unit="probability",
        quantity="probability of the first token",
        sign="Brighter: more probable. The last row is the model's own output.",
        excluded=[0],
        texts=ids[..., 0],
        top=Top(ids, values),
        vocabulary=said,
        kind="residual",
        part="post",
        instrument="lens",
    )
    return LensMap([panel], title="What each layer would say next", **{**shared(words), "choices": asked(), **more})


def asked(
    value: str = "prob", target: str = "", side: str = "clean", translator: str = "plain"
) -> list[dict[str, Any]]:
    """The choices of a lens."""
    values = (("prob", "Probability"), ("rank", "Rank"), ("kl", "KL from the output"), ("logit_diff", METRIC))
    sides = (("clean", "Clean"), ("edited", "Edited"), ("both", "Both"), ("difference", "Difference"))
    made = [
        Choice("value", "Show", value, values),
        Choice("target", "Follow", target, hint="each cell’s own"),
        Choice("side", "Run", side, sides),
        Choice("translator", "Lens", translator, (("plain", "Plain"), ("affine", "Affine"))),
    ]
    return [replace(choice, instrument="lens").wire() for choice in made]


def ranks() -> Loop:
    """The rank of a token that the last layers come to."""
    view, random = lens(choices=asked("rank", " Mary")), np.random.default_rng(8)
    depth = np.linspace(0, 1, LAYERS)[:, None]
    noise = random.uniform(-0.15, 0.1, (LAYERS, len(WORDS)))
    values = np.rint(np.exp(np.clip(1.05 - depth**2 + noise, 0, 1) * np.log(49152)))
    values[26:, -1] = 1
    view.panels = [
        replace(
            view.panels[0],
            values=values,
            title='Logit lens: rank of " Mary", read after each block',
            unit="rank",
            quantity='rank of " Mary"',
            spacing="log",
            bright="low",
            range=(1.0, float(values[:, 1:].max())),
            sign="1: the first choice of that layer.",
        )
    ]
    return view


def sides(difference: bool = False) -> Loop:
    """A lens without and with an edit, or the difference of the two."""
    side = "difference" if difference else "both"
    view = lens(choices=asked("prob", " Mary", side), result=result(TEXT))
    (clean,) = view.panels
    fall = np.zeros(clean.shape)
    fall[15:, 4:] = -np.linspace(0.1, 0.8, LAYERS - 15)[:, None] * np.linspace(0.2, 1, len(WORDS) - 4)
    after = np.clip(clean.values * (1 + fall), 0, 1)
    after[20:, 3] += 0.1
    quantity, kept = 'probability of " Mary"', clean.texts
    assert kept is not None
    texts = np.where(fall < -0.3, np.roll(kept, 3, axis=1), kept)
    name = "After L15H3 set to its mean; L23H3 set to its mean"
    lens_ = replace(clean, title=f"Logit lens: {quantity}, read after each block", quantity=quantity, range=(0.0, 0.85))
    edited = replace(lens_, name="edited", values=after, texts=texts, title=f"{name}: {quantity}")
    view.panels = [lens_, edited]
    if difference:
        view.panels = [
            replace(
                edited,
                name="difference",
                values=after - clean.values,
                range=None,
                scale="signed",
                toward=0,
                title=f"{name}: {quantity}, minus the clean run",
                quantity=f"{quantity}, edited minus clean",
                sign="Positive: more probable in the edited run. Written where the first token is another one.",
                texts=np.where(texts == kept, -1, texts),
            )
        ]
    view.picks = [(0, 20, 14)]
    return view


def patterns(random: np.random.Generator, length: int) -> np.ndarray:
    """Heads that look back one step, at the first token, at themselves, or anywhere."""
    query, key = np.indices((length, length))
    logits = random.normal(0, 1.2, (LAYERS, HEADS, length, length))
    kind = random.integers(0, 4, (LAYERS, HEADS, 1, 1))
    logits += np.where(kind == 0, 5.0 * (key == query - 1), 0) + np.where(kind == 1, 6.0 * (key == 0), 0)
    logits += np.where(kind == 2, 4.0 * (key == query), 0)
    logits = np.where(key <= query, logits, -np.inf)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def choices(**values: str) -> list[dict[str, Any]]:
    """What can be chosen in an attention view, after a run."""
    offered = {
        "summary": ("Number", ["away from the first token", "entropy", "token before", "induction", "sink", "effect"]),
        "weighting": ("Pictures", ["attention", "attention × value length"]),
        "compare": ("Compared with", ["this prompt as it is", "the other prompt", "after the last run"]),
        "text": ("Tokens", ["the prompt", "and what the model writes", "and what the edited model writes"]),
    }
    return [
        Choice(
            name, label, values.get(name, options[0]), tuple((each, each) for each in options), instrument="attention"
        ).wire()
        for name, (label, options) in offered.items()
    ]


def attention(**more: Any) -> Loop:
    """An attention map with one head open."""
    words = WORDS
    shares = patterns(np.random.default_rng(2), len(words))
    row, col = 23, 3
    shares[row, col, -1] = [0.2, 0.02, 0.55, 0.02, 0.08, *[0.13 / 10] * 10]
    causal = np.tril(np.ones((len(words), len(words)), bool))
    heads = heads_pictured(1 - shares[..., 1:, 0].mean(-1), thumbnails(shares))
    head = open_head(words, np.where(causal, shares[row, col], np.nan), f"Layer {row}, head {col}", range=(0.0, 1.0))
    given = {**shared(), "choices": choices(), **more}
    return AttentionMap([heads], pattern=head, opened=[row, col], title="Where every head looks", **given)


def compared() -> Loop:
    """An attention map after a run, as a difference, effects of heads still coming, with a text that was written."""
    words = [*WORDS, "·Mary", ".", "·She"]
    random = np.random.default_rng(2)
    difference = patterns(np.random.default_rng(7), len(words)) - patterns(random, len(words))
    difference *= random.uniform(0, 0.6, (LAYERS, HEADS, 1, 1))
    effects = heads_panel(random).values
    effects[:9] = np.nan
    most = float(np.abs(difference).max())
    heads = heads_pictured(
        effects,
        companded(pooled(difference), most, signed=True),
        title="All heads: where each token looks, after L23H3 × 0 minus before",
        scale="signed",
        toward=-1,
        unit="logits",
        sign="Number: how the metric changes without the head; negative: it supports the answer.",
        pictured=(-most, most),
    )
    causal = np.tril(np.ones((len(words), len(words)), bool))
    head = open_head(
        words,
        np.where(causal, difference[20, 0], np.nan),
        "Layer 20, head 0: where each token looks, after L23H3 × 0 minus before",
        scale="signed",
        toward=0,
        range=(-most, most),
    )
    written = {"tokens": [token(i, words[i]) for i in range(15, 18)], "whose": "written after L23H3 × 0"}
    values = {"summary": "effect", "compare": "after the last run", "text": "and what the edited model writes"}
    return AttentionMap(
        [heads],
        pattern=head,
        opened=[20, 0],
        title="Where every head looks",
        continuation=written,
        choices=choices(**values),
        progress={"done": 180, "total": 270, "eta": 3.1, "label": "effects of heads"},
        **shared(),
    )


def heads_pictured(values: np.ndarray, pictures: np.ndarray, **more: Any) -> Panel:
    """All heads with a picture each; three share a key-value head."""
    look: dict[str, Any] = {
        "title": "All heads: where each token looks",
        "scale": "sequential",
        "unit": "of its attention",
        "sign": "Number: the attention that does not go to the first token, averaged over the other tokens.",
    }
    heads = Axis("head", [str(i) for i in range(HEADS)])
    return Panel(
        "heads",
        layers(),
        heads,
        values,
        thumbnails=pictures,
        grouped=3,
        causal=True,
        kind="head",
        part="z",
        **look | more,
    )


ROW = {"metric": "logit(·Mary) − logit(·John)", "before": 4.92, "beats": 20, "controls": 20, "recipe": "0f3a"}
ROWS = [
    {**ROW, "run": 1, "what": "L23H3 switched off (mean)", "after": 2.97, "difference": -1.95},
    {**ROW, "run": 2, "what": "L15H3, L23H3 switched off (mean)", "after": 1.51, "difference": -3.41},
]
JOURNAL = {
    "rows": ROWS,
    "code": "import mi_widgets as mi\nmodel = mi.load()\nview = mi.Workbench(model, task)\nview.run()\n",
}


def workbench(**more: Any) -> Loop:
    """All three maps, after a run with a kept edit."""
    lenses, heads, maps = lens(), attention(), attribution()
    assert isinstance(heads, AttentionMap)
    named = {"attention": heads, "lens": lenses, "attribution": maps}
    panels = [
        replace(panel, name=f"{name}-{panel.name}", instrument=name, **_sites(panel))
        for name, view in named.items()
        for panel in view.panels
    ]
    corrupt = PROMPT.replace(", John", ", Mary")
    question = {"prompt": PROMPT, "corrupt": corrupt, "answer": " Mary", "foil": " John"}
    made = BenchMap(
        panels, pattern=heads.pattern, opened=[23, 3], title="Workbench", question=question, **{**shared(), **more}
    )
    made._kept[0] = "L15H3 set to its mean"
    made.tray = [{"id": 0, "strength": 0.75}]
    return made


def _sites(panel: Panel) -> dict[str, Any]:
    """Where a panel's cells are in the model."""
    numbered = {
        side: Axis(axis.name, axis.labels, [(i,) for i in range(len(axis.labels))])
        for side, axis in (("rows", panel.rows), ("cols", panel.cols))
    }
    heads = panel.cols.name == "head"
    part = "z" if heads else "post" if panel.name == "lens" else "pre"
    return {**numbered, "kind": "head" if heads else "residual", "part": part}


def open_head(words: list[str], values: np.ndarray, title: str, **more: Any) -> Panel:
    """One head's pattern."""
    look: dict[str, Any] = {"scale": "sequential", "unit": "of its attention", "sign": "Each row adds up to 1."}
    rows, cols = (Axis(name, words) for name in ("query_pos", "key_pos"))
    return Panel("pattern", rows, cols, values, title=title, excluded=[0], causal=True, **look | more)


def long_pattern(length: int) -> np.ndarray:
    """One head over a long prompt: the first token, the token before, and what followed the same word last time."""
    random = np.random.default_rng(4)
    query, key = np.indices((length, length))
    logits = random.normal(0, 1.5, (length, length)) + 5.0 * (key == 0) + 4.0 * (key == query - 1)
    logits += 6.0 * (key == query - length // 3 + 1)
    shares = np.exp(np.where(key <= query, logits, -np.inf))
    return np.where(key <= query, shares / shares.sum(1, keepdims=True), np.nan)


def long_attention(length: int) -> Loop:
    """An attention map of a long prompt, with pictures as they cross to the page."""
    words = [WORDS[0], *((WORDS[1:] + ODD)[i % (len(WORDS) - 1 + len(ODD))] for i in range(length - 1))]
    small = patterns(np.random.default_rng(2), 32)
    heads = heads_pictured(1 - small[..., 1:, 0].mean(-1), thumbnails(small))
    head = open_head(words, long_pattern(length), "Layer 12, head 5: where each token looks", range=(0.0, 1.0))
    return AttentionMap([heads], pattern=head, opened=[12, 5], title="Attention", **shared(words))


def wide() -> Loop:
    """A very small and a very wide grid."""
    random = np.random.default_rng(5)
    panel = Panel(
        "wide", layers(64), positions([f"t{i}" for i in range(512)]), random.normal(0, 1, (64, 512)), title="64 × 512"
    )
    small = Panel("small", layers(3), Axis("head", list("0123")), random.normal(0, 1, (3, 4)), title="3 × 4", toward=-1)
    return Heatmap([small, panel], title="A grid without a model", provenance=MODEL)


def long() -> Loop:
    """Everything that can be long is, with and without places to break a line."""
    random = np.random.default_rng(7)
    words = (
        "Which of the attention heads and of the positions carry the name, by exact denoising with half of the cells "
    )
    name = "organisation/a-model-with-a-very-long-name-of-which-nothing-can-be-broken-up-instruct-v0.3-bf16"
    heads = replace(heads_panel(random), title=words + "estimated", unit="logits per median residual norm")
    stream = residual_panel(random, WORDS)
    stream = replace(stream, title="blocks.0.hook_resid_pre/blocks.29.hook_resid_post/unbroken/title", sign=words * 2)
    progress = {
        "done": 1200,
        "total": 270000,
        "eta": 7400.0,
        "label": "exact activation patching of heads and positions",
    }
    said = [token(i, word * 6, bos=i == 0) for i, word in enumerate(WORDS)]
    direction = {"name": "cheerful-" * 12, "layer": 19, "natural": 0.14}
    return AttributionMap(
        [heads, stream],
        title=words * 2,
        tokens=said,
        provenance={**MODEL, "model": name, "recipe": "0123456789abcdef" * 4},
        directions=[direction],
        act={"verb": "add", "direction": direction["name"], "strength": 0.2},
        picks=[(1, 3, 4), (1, 29, 0)],
        status="running",
        progress=progress,
        error={**failure(), "why": f"There is no file {name * 2}.", "trace": name * 3},
        runnable=True,
    )


def failure() -> dict[str, str]:
    """An error as Python explains it."""
    return {
        "what": "The run failed",
        "why": "Head 9 does not exist: layer 15 has the heads 0 to 8.",
        "fix": "Pick the heads again, or load the model these picks were made on.",
        "trace": "Traceback (most recent call last):\n  ...\nIndexError: head 9",
    }


def reading(how: str, token: str = "") -> dict[str, Any]:
    """An act on what the lens reads."""
    return {"verb": "reading", "how": how, "token": token, "strength": 0.3}


PICKED = {"picks": [(0, 15, 3), (0, 23, 3)]}
TEXT = "John. He took the drink and went to the store again, and then gave a drink to John."
SCENES: dict[str, Loop] = {
    "attribution-empty": attribution(),
    "attribution-result": attribution(**PICKED, result=result(TEXT)),
    "attribution-stale": attribution(picks=[(0, 15, 3)], result=result(None)),
    "attribution-running": attribution(
        **PICKED, status="running", progress={"done": 120, "total": 270, "eta": 7.4, "label": "exact patching"}
    ),
    "attribution-error": attribution(**PICKED, status="error", error=failure()),
    "attribution-add": attribution(picks=[(1, 3, 4)], act={"verb": "add", "direction": "cheerful", "strength": 0.14}),
    "attribution-both": both(**PICKED, result={**result(TEXT), "joint": JOINT}),
    "attribution-neurons": neurons(),
    "attribution-tokens": one_row(),
    "lens": lens(picks=[(0, 0, 0), (0, 20, 5)], act={"verb": "scale", "factor": 2.0}),
    "lens-rank": ranks(),
    "lens-both": sides(),
    "lens-difference": sides(difference=True),
    "lens-remove": lens(picks=[(0, 20, 5), (0, 24, 9)], act=reading("remove")),
    "lens-add": lens(picks=[(0, 20, 5)], act=reading("add", " Mary")),
    "lens-swap": lens(picks=[(0, 20, 5)], act=reading("swap")),
    "lens-clamp": lens(picks=[(0, 20, 5)], act={"verb": "clamp", "low": -1.0, "high": None}),
    "lens-replace": lens(picks=[(0, 20, 5)], act={"verb": "replace", "prompt": PROMPT}),
    "lens-project": lens(act={"verb": "project_out", "direction": "formal"}),
    "attention": attention(picks=[(0, 23, 3)], code="import transformer_lens\n\nmodel = ..."),
    "attention-compared": compared(),
    "attention-512": long_attention(512),
    "attention-1024": long_attention(1024),
    "grid": wide(),
    "long": long(),
    "workbench": workbench(),
    "workbench-result": workbench(
        picks=[(0, 23, 3)],
        undoable=3,
        journal=JOURNAL,
        result={
            **result(TEXT),
            "picks": [[0, 23, 3]],
            "tray": [{"id": 0, "label": "L15H3 set to its mean (strength 0.75)", "strength": 0.75}],
        },
    ),
}


def plain(value: Any) -> Any:
    """A state with its bytes as text, for JSON."""
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def state(view: Loop) -> dict[str, Any]:
    """A view as JSON for the page."""
    return {"stem": view.stem, "state": plain(view.get_state(view.border()))}
