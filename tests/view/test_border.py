"""Both sides of docs/views.md: the traits of the Python views are the interfaces of js/src/border.ts."""

import re
from pathlib import Path

import numpy as np
import pytest
import traitlets as t

from mi_widgets.view import AttentionMap, AttributionMap, Axis, BenchMap, Heatmap, LensMap, Panel, act, loop

SOURCE = Path(__file__).parents[2] / "js" / "src"
BORDER = (SOURCE / "border.ts").read_text("utf-8")
KINDS = {
    t.Int: "number",
    t.Unicode: "string",
    t.Bool: "boolean",
    t.List: "[]",
    t.Dict: "{}",
    t.Enum: "union",
    t.Instance: "{}",
}


def members(body: str) -> dict[str, str]:
    return dict(re.findall(r"^\s*(\w+): ([^;]+);", body, re.MULTILINE))


def interface(name: str) -> dict[str, str]:
    parent, body = re.search(rf"export interface {name}(?: extends (\w+))? \{{(.*?)\n\}}", BORDER, re.DOTALL).groups()
    return {**(interface(parent) if parent else {}), **members(body)}


def alias(name: str) -> str:
    return re.search(rf"export type {name} =(.*?);\n(?=\n|export)", BORDER, re.DOTALL).group(1)


def strings(text: str) -> set[str]:
    return set(re.findall(r'"(\w+)"', text))


def kind(typescript: str) -> str:
    if typescript in ("string", "boolean", "number"):
        return typescript
    if typescript.endswith("[]"):
        return "[]"
    return "union" if typescript == "Status" else "{}"


@pytest.mark.parametrize(
    ("view", "page"),
    [
        (Heatmap, "LoopTraits"),
        (LensMap, "LoopTraits"),
        (AttributionMap, "LoopTraits"),
        (AttentionMap, "AttentionTraits"),
        (BenchMap, "BenchTraits"),
    ],
)
def test_every_trait_has_its_name_and_type_on_the_page(view, page):
    traits = {name: KINDS[type(view.class_traits()[name])] for name in view.border()}
    assert traits == {name: kind(typescript) for name, typescript in interface(page).items()}


def test_the_states_are_those_of_the_page():
    assert strings(alias("Status")) == set(loop.STATES)


def test_the_requests_are_those_of_the_page():
    assert strings(alias("Message")) == set(loop.REQUESTS)


def test_the_verbs_are_those_of_the_page():
    assert strings(alias("Act")) == {*act.FIELDS, *act.KINDS, *act.HOWS}


def test_a_panel_has_the_fields_of_the_page():
    panel = Panel("p", Axis("layer", ["0"]), Axis("head", ["0", "1"]), np.zeros((1, 2)))
    assert list(panel.wire()) == list(members(alias("PanelWire")))


@pytest.mark.parametrize("view", [Heatmap, LensMap, AttributionMap, AttentionMap])
def test_each_view_has_its_script(view):
    assert (SOURCE / f"{view.stem}.ts").exists()


@pytest.mark.parametrize(
    "name", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("]
)
def test_text_never_becomes_markup_or_code(name):
    scripts = [path for path in SOURCE.parent.rglob("*.ts") if "node_modules" not in path.parts]
    assert scripts
    assert [path.name for path in scripts if name in path.read_text("utf-8")] == []


def classes(sheets):
    return {name for sheet in sheets for name in re.findall(r"\.(mi-[a-z-]+)", sheet.read_text("utf-8"))}


def test_the_side_panel_restyles_no_view():
    panel, views = classes(SOURCE.parent.glob("lab/*.css")), classes(SOURCE.glob("*.css"))
    assert panel and views and not panel & views
