"""Still: what remains of a view where there is no kernel, and no script: pictures, tables and words.

A view puts it into the notebook beside itself, hidden while the view is on the page. So it is what a reader sees in an
untrusted or reopened notebook, in nbviewer, on GitHub and in an exported page. It is bounded: a few pictures, the
strongest cells, the last result, the journal's end; about 100 kB at most. All text is escaped, and cut where long.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .panel import Panel, colour_range
from .picture import pooled

if TYPE_CHECKING:
    from .loop import Loop

_PANELS, _CELLS, _RUNS, _TOKENS = 3, 5, 8, 3  # as many of each, at most
_LENGTH = 300  # characters of one text, at most
_WIDTH, _HEIGHT, _CELL, _SIDE = 640, 400, 16, 16  # pixels: of a picture and of a cell at most, of a thumbnail
_UNKNOWN = 255  # the palette's colour of what is not computed
_SIGNED = ((179, 88, 6), (247, 247, 247), (33, 102, 172))
_GREY = (225, 225, 225)
_NOTHING = "nothing computed yet"
_STYLE = "font: 13px sans-serif; max-width: 660px"
_AGAIN = "This is a picture of a view. To use the view, run its cell again."


def of_loop(view: Loop) -> str:
    """The whole of a view as HTML without script."""
    model = " · ".join(filter(None, map(view.provenance.get, ("model", "weights"))))
    parts = [
        f"<p><b>{_text(view.title)}</b> {_text(model)}</p>",
        f"<p>{_text(view.prompt)}</p>" if view.prompt else "",
        *(_panel(panel) for panel in view.panels[:_PANELS]),
        _result(view.result) if view.result else "",
        _runs(view.journal.get("rows", ())),
        f"<p><small>{_AGAIN}</small></p>",
    ]
    return f'<div class="mi-still mi-still-{view.key}" style="{_STYLE}">{"".join(parts)}</div>'


def words(view: Loop) -> str:
    """The same as plain text, for a terminal."""
    lines = [f"{view.title or type(view).__name__} · {view.provenance.get('model', 'no model')}", view.prompt]
    for panel in view.panels:
        lines += [f"{panel.title or panel.name} ({panel.unit})", *_told(panel)]
    if view.result:
        before, after = (view.result[name]["metric"] for name in ("before", "after"))
        lines.append(f"{view.result['metric']}: {before:.3f} -> {after:.3f} ({after - before:+.3f})")
        lines.append(_control(view.result))
    return "\n".join(filter(None, lines))


def image(panel: Panel) -> bytes:
    """A panel's cells, or the pictures in them, as a PNG of at most 640 x 400 pixels; grey is not computed."""
    from PIL import Image

    picture = Image.fromarray(_places(panel), "P")
    picture.putpalette(_palette(panel.scale, flipped=_flips(panel)).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _panel(panel: Panel) -> str:
    """Picture, caption, and the strongest cells as a table."""
    strongest = _strongest(panel)
    cells = "; ".join(f"{where} {value}" for where, value, _ in strongest) or _NOTHING
    alt = f"{panel.title or panel.name}, {panel.rows.name} by {panel.cols.name}. Strongest: {cells}"
    source = base64.b64encode(image(panel)).decode() if panel.values.size else ""
    rows = [[where, value, text] for where, value, text in strongest]
    return (
        f'<p><img src="data:image/png;base64,{source}" alt="{_text(alt)}"></p>'
        f"<p><small>{_text(panel.title)}: {_text(panel.rows.name)} down, {_text(panel.cols.name)} across. "
        f"{_text(panel.sign)}</small></p>" + _table(["strongest cells", panel.unit, ""], rows)
    )


def _told(panel: Panel) -> list[str]:
    return [f"  {where}: {value} {text}".rstrip() for where, value, text in _strongest(panel)] or [f"  {_NOTHING}"]


def _strongest(panel: Panel) -> list[tuple[str, str, str]]:
    """The cells furthest from 0, or the lowest where less is better: where, how much, and what is written there."""
    low = panel.scale == "sequential" and panel.bright == "low"
    weight = np.where(np.isfinite(panel.values), -panel.values if low else np.abs(panel.values), -np.inf)
    weight[:, list(panel.excluded)] = -np.inf
    order = np.argsort(-weight, axis=None, kind="stable")[:_CELLS]
    cells = [np.unravel_index(at, panel.shape) for at in order if np.isfinite(weight.flat[at])]
    return [
        (_where(panel, int(r), int(c)), f"{panel.values[r, c]:.3g}", _written(panel, int(r), int(c))) for r, c in cells
    ]


def _where(panel: Panel, row: int, col: int) -> str:
    named = ((axis.name, axis.labels[at]) for axis, at in ((panel.rows, row), (panel.cols, col)))
    return ", ".join(f"{name} {label}" for name, label in named)


def _written(panel: Panel, row: int, col: int) -> str:
    index = -1 if panel.texts is None else int(panel.texts[row, col])
    return str((panel.vocabulary or [])[index]["text"]) if index >= 0 else ""


def _result(result: dict[str, Any]) -> str:
    """The last run: before and after, with the controls."""
    sides = [(name, result[name]) for name in ("before", "after")]
    rows = [[name, f"{side['metric']:.3f}", _tops(side["top"]), side["text"] or ""] for name, side in sides]
    difference = f"Difference {result['difference']:+.3f}. {_control(result)}"
    return _table(["last run", result["metric"], "next token", "text"], rows) + f"<p>{_text(difference)}</p>"


def _control(result: dict[str, Any]) -> str:
    if not (control := result.get("control")):
        return ""
    count = len(control["values"])
    return f"Control: {control['label']}" + (f"; stronger than {control['beats']} of {count}." if count else "")


def _tops(top: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{each['token']['text']} {each['probability']:.0%}" for each in top[:_TOKENS])


def _runs(rows: Sequence[dict[str, Any]]) -> str:
    """The end of the journal."""
    lines = [
        [str(row["run"]), row["what"], *(f"{row[name]:.3f}" for name in ("before", "after", "difference"))]
        for row in rows[-_RUNS:]
    ]
    return _table(["run", "what was done", "before", "after", "difference"], lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    top = "".join(f"<th>{_text(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _text(words: str) -> str:
    return html.escape(words if len(words) <= _LENGTH else words[:_LENGTH] + "…")


# Pixels


def _places(panel: Panel) -> np.ndarray:
    """Where each pixel lies on the scale, 0 to 254, or `_UNKNOWN`."""
    cells = _mosaic(panel.thumbnails, panel.pictured) if panel.thumbnails is not None else _plain(panel)
    rows, cols = cells.shape
    side = max(1, min(_CELL, _WIDTH // max(cols, 1), _HEIGHT // max(rows, 1)))
    large = np.kron(cells, np.ones((side, side), np.uint8))
    return large[:: math.ceil(large.shape[0] / _HEIGHT), :: math.ceil(large.shape[1] / _WIDTH)].copy()


def _plain(panel: Panel) -> np.ndarray:
    low, high = panel.range or colour_range(panel.values, panel.scale, panel.excluded)
    values = np.asarray(panel.values, np.float64)
    if panel.spacing == "log":
        origin = max(low, 0.0)
        values, low, high = _logged(values - origin), float(_logged(low - origin)), float(_logged(high - origin))
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.where(np.isfinite(share), np.nan_to_num(share) * 254, _UNKNOWN).astype(np.uint8)


def _logged(values: Any) -> Any:
    return np.sign(values) * np.log1p(np.abs(values))


def _mosaic(pictures: np.ndarray, pictured: tuple[float, float]) -> np.ndarray:
    """All thumbnails beside each other, a pixel of grey between them."""
    zero = 128.0 if pictured[0] < 0 else 0.0
    small = np.clip(pooled(pictures.astype(np.float32) - zero, _SIDE) + zero, 0, 254).astype(np.uint8)
    framed = np.pad(small, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=_UNKNOWN)
    rows, cols, height, width = framed.shape
    return framed.transpose(0, 2, 1, 3).reshape(rows * height, cols * width)


def _flips(panel: Panel) -> bool:
    return panel.toward == -1 if panel.scale == "signed" else panel.bright == "low"


def _palette(scale: str, flipped: bool) -> np.ndarray:
    """255 colours from the low end to the high one, and the one of what is not computed: uint8 [256, 3]."""
    stops = np.array(_SIGNED if scale == "signed" else list(_cividis()), np.float64)
    at = np.linspace(0, len(stops) - 1, 255)
    colours = np.stack([np.interp(at, np.arange(len(stops)), channel) for channel in stops.T], axis=1)
    return np.concatenate([colours[::-1] if flipped else colours, [_GREY]]).round().astype(np.uint8)


def _cividis() -> Iterable[tuple[float, ...]]:
    from plotly.colors import hex_to_rgb, sequential

    return (hex_to_rgb(colour) for colour in sequential.Cividis)
