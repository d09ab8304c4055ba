"""Frame: a sentence with named gaps. Filling it says where each word came to stand, for a Pair's `spans`."""

from __future__ import annotations

from string import Formatter

from ..task import Span

#: What a card says of tasks whose items stand in the same few sentences.
SHARED_FRAMES = "Frames are shared by the three splits; what fills them is not."


def fill(frame: str, **words: str) -> tuple[str, dict[str, Span]]:
    """The text of a frame like "The {subject} near the {attractor}", and the span of each word in it."""
    text, spans = "", {}
    for literal, name, _, _ in Formatter().parse(frame):
        text += literal
        if name is not None:
            spans[name] = (len(text), len(text) + len(words[name]))
            text += words[name]
    return text, spans
