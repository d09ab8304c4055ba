"""What the tests share: tiny models of five shapes behind the gate, and the default model where it is there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

import mi_widgets as mi

from . import tiny

torch.set_num_threads(1)  # tiny tensors: a second thread would only be in the way


@dataclass(frozen=True, eq=False)
class Tiny:
    """One random model twice: behind the gate, and plain under PyTorch hooks."""

    shape: str

    @cached_property
    def plain(self) -> tiny.Plain:
        return tiny.Plain.of(tiny.hugging_face(self.shape, "eager"))

    @cached_property
    def model(self) -> mi.Model:
        return mi.Model(tiny.hugging_face(self.shape), tiny.tokenizer(), f"tiny {self.shape}")

    @cache  # noqa: B019
    def ids(self, text: str = tiny.CLEAN) -> torch.Tensor:
        return self.model.ids(text)

    @cached_property
    def pair(self) -> mi.Pair:
        """The two sentences, with the answer and foil that this random model tells apart most."""
        clean, corrupt = (self.plain.logits(self.ids(text))[-1] for text in (tiny.CLEAN, tiny.CORRUPT))
        ranked = (clean - corrupt).argsort(descending=True).tolist()
        words = [text for text in map(self._word, ranked) if text]
        return mi.Pair(tiny.CLEAN, tiny.CORRUPT, words[0], words[-1])

    def _word(self, id_: int) -> str | None:
        """The text of a token, if that text alone is the token."""
        text = self.model.tokenizer.decode([id_])
        return text if self.model.tokenizer(text, add_special_tokens=False)["input_ids"] == [id_] else None

    @cache  # noqa: B019 - a handful of models, for the length of the tests
    def unedited(self, text: str) -> float:
        """The pair's metric of a plain run."""
        return self.difference(self.plain.logits(self.ids(text)))

    def difference(self, logits: torch.Tensor) -> float:
        """The pair's metric of logits [pos, d_vocab]."""
        answer, foil = (self.model.single(str(text)) for text in (self.pair.answer, self.pair.foil))
        return float(logits[-1, answer] - logits[-1, foil])


@pytest.fixture(scope="session", params=tiny.SHAPES)
def small(request: pytest.FixtureRequest) -> Tiny:
    """Each of the five shapes in turn."""
    return _small(request.param)


@pytest.fixture(scope="session")
def llama() -> Tiny:
    """The one shape where one is enough: grouped heads, as in the default model."""
    return _small("llama")


_made: dict[str, Tiny] = {}


def _small(shape: str) -> Tiny:
    return _made.setdefault(shape, Tiny(shape))


@pytest.fixture
def fresh() -> mi.Model:
    """A llama of one's own, to be changed."""
    model = mi.Model(tiny.hugging_face("llama"), tiny.tokenizer(), "fresh")
    yield model
    model.close()


@pytest.fixture(scope="session")
def default_model() -> Any:
    """SmolLM2-135M-Instruct, fetched once for each machine."""
    from mi_widgets.model.checkpoint import FetchError

    try:
        return mi.load()
    except FetchError as error:
        pytest.skip(f"the default model cannot be fetched: {error}")
