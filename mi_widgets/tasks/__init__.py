"""Built-in tasks: small, written for this package, with groups that keep what is alike on one side of a split.

`ioi` (who receives, in a sentence of two names), `capitals` (the capital of a country), `tone` (how a day feels).
Templates are shared across the splits; names, countries and scenes are not.
"""

from .capitals import capitals
from .ioi import ioi
from .tone import tone

__all__ = ["capitals", "ioi", "tone"]
