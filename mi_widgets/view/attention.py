"""AttentionMap: where every head looks, and one head in full."""

from typing import Any

import traitlets as t

from .loop import Loop
from .panel import Panel


def wire(panel: Panel | None, _: object) -> dict[str, Any]:
    """The open head's panel as it crosses to the page; `{}` while none is open."""
    return {} if panel is None else panel.wire()


class AttentionMap(Loop):
    """All heads as thumbnails in `panels[0]` (layer x head), the open one's exact pattern in `pattern`.

    A click sends `open`; the answer is `pattern` and `opened` together, inside one `hold_sync`.
    `continuation`: tokens after the prompt's that the pattern is of as well, and who wrote them, in words; or {}.
    """

    stem = "attention"

    pattern = t.Instance(Panel, allow_none=True).tag(sync=True, to_json=wire)
    opened = t.List(t.Int()).tag(sync=True)
    continuation = t.Dict().tag(sync=True)
