"""Colours on the page, seen by eyes of every kind: neighbours on a legend differ, and no sign is in hue alone."""

from __future__ import annotations

import numpy as np
import pytest
from colorspacious import cspace_convert
from playwright.sync_api import Locator, Page

from js.harness.fixture import SCENES
from js.harness.stage import Stage
from mi_widgets.view import Axis, Heatmap, Panel

pytestmark = pytest.mark.browser

EYES = ["usual", "deuteranomaly", "protanomaly", "tritanomaly", "greyscale"]
DISTINCT = 10  # in CAM02-UCS, where about 1 is just noticed
RIM = 3  # pixels around the cells of a map
PIXELS = "(canvas, part) => [...canvas.getContext('2d').getImageData(...part).data]"


def seen(rgb: np.ndarray, eye: str) -> np.ndarray:
    """Colours 0..1 as an eye sees them, in CAM02-UCS: the distance of two is how different they look."""
    if eye == "greyscale":
        rgb = np.repeat(cspace_convert(rgb, "sRGB1", "XYZ1")[..., 1:2] ** (1 / 2.2), 3, axis=-1)
    elif eye != "usual":
        rgb = cspace_convert(rgb, {"name": "sRGB1+CVD", "cvd_type": eye, "severity": 100}, "sRGB1")
    return cspace_convert(np.clip(rgb, 0, 1), "sRGB1", "CAM02-UCS")


def pixels(canvas: Locator, left: int, top: int, width: int, height: int) -> np.ndarray:
    """What is drawn in a part of a canvas: colours 0..1 [height, width, rgb]."""
    drawn = np.array(canvas.evaluate(PIXELS, [left, top, width, height]), float)
    return drawn.reshape(height, width, 4)[..., :3] / 255


@pytest.fixture
def stage(page: Page) -> Stage:
    return Stage(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("scene", "colours"), [("attribution-empty", 11), ("lens", 7)])
def test_neighbours_on_a_legend_look_different_to_everybody(stage: Stage, scene: str, colours: int, theme: str) -> None:
    """Eleven on the signed legend are five steps an arm; in greyscale, four steps an arm."""
    stage.show(SCENES[scene], theme=theme)
    bar = stage.page.locator(".mi-bar-scale").first
    legend = np.median(pixels(bar, 0, 0, 232, 10), axis=0)  # the strokes cover less than half of any column
    for eye in EYES:
        steps = 9 if eye == "greyscale" and colours == 11 else colours
        ladder = seen(legend[np.linspace(0, len(legend) - 1, steps).astype(int)], eye)
        assert np.linalg.norm(np.diff(ladder, axis=0), axis=1).min() >= DISTINCT, eye


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("toward", [1, -1, 0])
@pytest.mark.parametrize("shape", [(30, 9), (40, 90)], ids=["large cells", "small cells"])
def test_the_sign_is_seen_without_hue(stage: Stage, shape: tuple[int, int], toward: int, theme: str) -> None:
    """Two neighbours of equal size and opposite sign, from a quarter of the range on, differ in greyscale too."""
    rows, cols = shape
    values = np.full(shape, 0.0)
    values[:, 0:8:2] = [1.0, 0.75, 0.5, 0.25]
    values[:, 1:8:2] = -values[:, 0:8:2]
    axes = Axis("layer", [str(i) for i in range(rows)]), Axis("head", [str(i) for i in range(cols)])
    stage.show(Heatmap([Panel("p", *axes, values, toward=toward)]), theme=theme)
    box = stage.page.get_by_test_id("cells").bounding_box()
    assert box is not None
    width, height = round((box["width"] - 2 * RIM) / cols), round((box["height"] - 2 * RIM) / rows)
    first = pixels(stage.page.locator(".mi-cells"), RIM, RIM, 8 * width, height)
    drawn = seen(first, "greyscale").reshape(height, 8, width, 3)[: height - 1, :, : width - 1]
    differences = np.linalg.norm(drawn[:, 0::2] - drawn[:, 1::2], axis=-1).max(axis=(0, 2))
    assert differences.min() >= 2 * DISTINCT


def test_what_is_largest_is_said_in_words(stage: Stage) -> None:
    stage.show(SCENES["attribution-empty"])
    said = stage.page.get_by_test_id("readout").first.inner_text()
    assert said == "layer 23 · head 3 · +2.28 logits · rank 1 of 270"
