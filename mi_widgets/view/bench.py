"""BenchMap: several instruments in one view, a tab each, over one prompt, one selection and one result."""

import traitlets as t

from .attention import AttentionMap

QUESTION = {"prompt": "", "corrupt": "", "answer": "", "foil": ""}


class BenchMap(AttentionMap):
    """All heads with the open one, the lens, and the attribution maps: `panels` of several instruments.

    `question` is what the fields for another one begin with; "" for what is no text.
    """

    stem = "workbench"

    question = t.Dict(default_value=QUESTION).tag(sync=True)
