"""Text that is anything but harmless, in every place of every view where text can come: it stays text."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from js.harness.fixture import JOURNAL, attention, attribution, failure, lens, plain, result, wide, workbench
from js.harness.stage import Stage
from mi_widgets.model import tokens
from mi_widgets.view import AttributionMap, Heatmap, Loop

from ..test_tokens import KINDS, NASTY, visible

pytestmark = pytest.mark.browser

DO = "window.__pwn=1"
PAYLOADS = (
    f"<script>{DO}</script>", f"</script><script>{DO}</script>", f"<img src=x onerror={DO}>",
    f"<IMG SRC=x OnError='{DO}'>", f"<svg onload={DO}>", f"<svg><script>{DO}</script></svg>",
    f"<svg><animate onbegin={DO} attributeName=x dur=1s>", f"<body onload={DO}>", f"<iframe src='javascript:{DO}'>",
    f"<iframe srcdoc='<script>parent.{DO}</script>'>", f"<a href='javascript:{DO}'>click</a>", f"javascript:{DO}",
    f"data:text/html,<script>{DO}</script>", f"<object data='javascript:{DO}'>", f"<embed src='javascript:{DO}'>",
    f"<form action='javascript:{DO}'><button>send</button></form>", f"<input autofocus onfocus={DO}>",
    f"<select autofocus onfocus={DO}>", f"<textarea autofocus onfocus={DO}>", f"<details open ontoggle={DO}>",
    f"<video><source onerror={DO}></video>", f"<audio src=x onerror={DO}>", f"<marquee onstart={DO}>",
    f"<math><mtext><img src=x onerror={DO}></mtext></math>", f"<math href='javascript:{DO}'>formula</math>",
    f"<style>@import 'javascript:{DO}'</style>", "<link rel=stylesheet href=//example.invalid/x.css>",
    "<meta http-equiv=refresh content='0;url=//example.invalid'>", "<base href=//example.invalid/>",
    f"<template><script>{DO}</script></template>", f"<noscript><p title='</noscript><img src=x onerror={DO}>'>",
    f'" onmouseover="{DO}" x="', f"' onfocus='{DO}' autofocus x='", f"` onclick={DO} `",
    f"--><script>{DO}</script><!--", f"]]><script>{DO}</script>",
    f"&lt;script&gt;{DO}&lt;/script&gt;", f"&#60;img src=x onerror={DO}&#62;",
    f"{{{{constructor.constructor('{DO}')()}}}}", f"${{{DO}}}", f"<%= {DO} %>", "__proto__", "constructor", "toString",
    "=cmd|'/C calc'!A0", "<b>bold</b><br><i>plotly</i>", f"\u202e<script>{DO}</script>", "</style></title></textarea>",
)  # fmt: skip
KEPT = {"dtype", "scale", "kind", "verb", "status", "bytes"}  # words of the border itself
FULL: dict[str, Any] = {
    "result": result("and then"),
    "error": failure(),
    "code": "import mi_widgets",
    "progress": {"done": 1, "total": 2, "eta": 3.0, "label": "patching"},
    "act": {"verb": "add", "direction": "cheerful", "strength": 0.1},
}
VIEWS: dict[str, Loop] = {
    "attribution": attribution(picks=[(0, 0, 0), (1, 3, 4)], **FULL),
    "lens": lens(picks=[(0, 0, 0)], **FULL),
    "workbench": workbench(picks=[(0, 0, 0)], journal=JOURNAL, **FULL),
    "attention": attention(picks=[(0, 0, 0)], **FULL),
    "heatmap": Heatmap(wide().panels[:1], title="a title", provenance=wide().provenance),
}
STRANGE = """() => [...document.querySelectorAll(".mi-root, .mi-root *")].flatMap((element) => [
    ...(element.matches("script, iframe, img, object, embed, a, link, meta, base, template, math, video, b > i")
        || element.matches("form:not(.mi-question)") ? [element.outerHTML] : []),
    ...[...element.attributes].map(({name}) => name).filter((name) => /^on|^(href|src|srcdoc|action|data)$/.test(name)),
])"""


@pytest.fixture
def stage(page: Page) -> Stage:
    return Stage(page)


def poisoned(value: Any, payload: str, name: str = "") -> Any:
    """The same state, saying nothing but the payload."""
    if isinstance(value, dict):
        return {key: poisoned(part, payload, key) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [poisoned(part, payload, name) for part in value]
    return payload if isinstance(value, str) and name not in KEPT else value


def use(stage: Stage) -> None:
    """Bring out what is shown only on request."""
    page = stage.page
    for grid in page.get_by_role("grid").all():
        grid.hover(position={"x": 120, "y": 100})
    for folded in page.locator(".mi-root details").all():
        folded.evaluate("(details) => (details.open = true)")
    page.locator(".mi-root [aria-expanded=false]:enabled").evaluate_all("(all) => all.forEach((one) => one.click())")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", VIEWS)
def test_text_is_shown_as_text_wherever_it_comes_from(stage: Stage, name: str) -> None:
    dialogs: list[str] = []
    stage.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    view = VIEWS[name]
    state = plain({trait: value for trait, value in view.get_state(view.border()).items() if trait != "status"})
    stage.show(view)
    for payload in PAYLOADS:
        stage.put(**poisoned(state, payload))
        use(stage)
        assert stage.page.get_by_test_id("title").text_content() == payload
        assert stage.page.evaluate("window.__pwn") is None, payload
        assert stage.page.evaluate(STRANGE) == [], payload
        assert "[native code]" not in stage.page.locator(".mi-root").text_content(), payload
    assert dialogs == []


def test_every_trait_of_text_is_among_the_poisoned() -> None:
    said = {
        trait for view in VIEWS.values() for trait in view.border() if "X" in str(poisoned(getattr(view, trait), "X"))
    }
    assert said >= {"title", "prompt", "tokens", "directions", "progress", "result", "error", "code", "provenance"}


@pytest.mark.parametrize("tokenizer", KINDS)
def test_every_token_of_every_text_is_a_piece_of_its_own(stage: Stage, tokenizer: str) -> None:
    made = KINDS[tokenizer]()
    stage.show(AttributionMap([], tokens=[]))
    strip = stage.page.get_by_test_id("tokens")
    for text in (*NASTY, "same " * 200):
        labels = tokens.labels(made, made(f"a{text}b", add_special_tokens=False)["input_ids"])
        stage.put(tokens=labels)
        pieces = strip.locator("[data-index] bdi")
        assert pieces.all_text_contents() == [label["text"] for label in labels]
        assert all(visible(piece) for piece in pieces.all_text_contents())
        assert strip.locator("[data-index]").evaluate_all(
            "(all) => all.map((piece) => Number(piece.dataset.index))"
        ) == [label["index"] for label in labels]
        widths = pieces.evaluate_all("(all) => all.map((piece) => piece.getBoundingClientRect().width)")
        assert min(widths) > 1, text
