"""What remains of a view without kernel and script: bounded, escaped, and with words for every picture."""

import base64
import re
import struct
from dataclasses import replace

import numpy as np
import pytest

from js.harness.fixture import SCENES
from mi_widgets.view import Axis, Heatmap, Panel, still

NASTY = "<img src=x onerror=alert(1)>&\"'"


def panel(values: np.ndarray, **more: object) -> Panel:
    rows, cols = (
        Axis(name, [str(i) for i in range(n)]) for name, n in zip(("layer", "head"), values.shape, strict=True)
    )
    return Panel("p", rows, cols, values.astype(np.float32), **more)  # type: ignore[arg-type]


def pixels(panel: Panel) -> np.ndarray:
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(still.image(panel))).convert("RGB")).astype(int)


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_leaves_pictures_with_words_and_little_else(name: str) -> None:
    remains = still.of_loop(SCENES[name])
    assert len(remains) < 120_000
    alts = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]*)"', remains)
    assert alts and min(map(len, alts)) >= 20
    for source in re.findall(r'src="data:image/png;base64,([^"]+)"', remains):
        width, height = struct.unpack(">II", base64.b64decode(source)[16:24])
        assert 0 < width <= 640 and 0 < height <= 400


def test_a_result_and_the_journal_are_told_in_tables() -> None:
    remains = still.of_loop(SCENES["workbench-result"])
    assert "4.9" in remains and "L15H3, L23H3 switched off (mean)" in remains and "stronger than" in remains


def test_text_is_text_and_is_cut_where_it_is_long() -> None:
    view = Heatmap([panel(np.zeros((1, 1)), title=NASTY, sign=NASTY)], title=NASTY, prompt=NASTY + "x" * 5000)
    remains = still.of_loop(view)
    assert "<img src=x" not in remains and "&lt;img src=x" in remains
    assert len(remains) < 4000


def test_colours_say_the_sign_what_is_missing_and_which_end_is_better() -> None:
    blue, white, orange, grey = (pixels(panel(np.array([[1.0, 0.0, -1.0, np.nan]])))[8, 16 * i + 8] for i in range(4))
    assert blue[2] > blue[0] and orange[0] > orange[2] and white.min() > 240 and tuple(grey) == (225, 225, 225)
    against = pixels(panel(np.array([[1.0, -1.0]]), toward=-1))[8, 8]
    assert tuple(against) == tuple(orange)
    ranks = {"scale": "sequential", "bright": "low", "spacing": "log", "range": (1.0, 50000.0)}
    best, middle, worst = (
        pixels(panel(np.array([[1.0, 200.0, 50000.0]]), **ranks))[8, 16 * i + 8].sum() for i in range(3)
    )
    assert best > middle > worst


def test_what_is_strongest_leaves_out_what_the_scale_leaves_out() -> None:
    shown = panel(np.array([[9.0, 1.0, -2.0]]), excluded=[0])
    remains = still.of_loop(Heatmap([shown]))
    assert re.search(r"Strongest: layer 0, head 2 -2; layer 0, head 1 1", remains)
    low = replace(panel(np.array([[9.0, 1.0, 3.0]]), scale="sequential"), bright="low")
    assert "Strongest: layer 0, head 1 1" in still.of_loop(Heatmap([low]))


def test_a_view_that_is_empty_says_so() -> None:
    assert "nothing computed yet" in still.of_loop(Heatmap([panel(np.full((2, 2), np.nan))]))
    assert "run its cell again" in still.of_loop(Heatmap([]))
