"""Tokens: one rule from a prompt to ids, and a label that a person can read for every id of any text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import mi_widgets as mi
from mi_widgets.model import tokens
from mi_widgets.run import role_positions

from . import tiny
from .conftest import Tiny

NASTY = (
    " ", "   ", "\n", "\t", "\r\n", "\x00", "\x07", "\x1b[31m", "\x7f", "\u00a0", "\u200b", "\u200d", "\u202e",
    "\u2066", "\ufeff", "\ufffd", "\u2028", "\u3164", "\u115f", "\u2800", "\u034f", "\ufe0f", "\u0301", "\u00ad",
    "\ue000", "\U000e0041",
    "😀", "👩‍👩‍👧", "🇩🇪", "é", "e\u0301", "ß", "ﬁ", "中文", "שלום", "مرحبا", "ไทย", "𝕏", "\U0010ffff",
    "<b>bold</b>", "<script>alert(1)</script>", "&amp;", "${x}", "`code`", "<s>", "</s>", "<|im_start|>", "Ġ", "▁",
    "##ing", "<0x0A>", "<0xZZ>", " Mary", "MaryĠ", "ĊĊ", "'", '"', "\\n", "\\", "a" * 30,
)  # fmt: skip
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
BLANK = set("\u3164\u115f\u1160\uffa0\u2800\u034f\ufe0f")  # letters, marks and a symbol that draw nothing


def byte_fallback() -> PreTrainedTokenizerFast:
    """As sentencepiece makes them: ▁ for a space, <0xNN> for a byte that is in no piece."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "▁Mary", "▁the", "a", "e", "é", "b", ".", ","]
    model = models.BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True)
    made = Tokenizer(model)
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Replace("▁", " ")])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def word_pieces() -> PreTrainedTokenizerFast:
    """As BERT has them: words, continued by ##pieces, and one token for what is unknown."""
    pieces = ["[UNK]", "[CLS]", "[SEP]", "mary", "the", "a", "##ing", "b", "<", ">", "&", "é", "."]
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")


KINDS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "byte-level": tiny.tokenizer,
    "byte fallback": byte_fallback,
    "word pieces": word_pieces,
}


def visible(text: str) -> bool:
    """Every character is one to see; inside ‹ › words may be apart."""
    plain = re.sub("‹[^›]+›", "x", text)
    return bool(plain) and not any(unicodedata.category(c) in INVISIBLE or c in BLANK for c in plain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_every_token_of_every_text_is_visible_and_has_its_place(kind: str, text: str) -> None:
    tokenizer = KINDS[kind]()
    ids = tokenizer(f"a{text}b", add_special_tokens=False)["input_ids"]
    labels = tokens.labels(tokenizer, ids)
    assert [label["id"] for label in labels] == ids
    assert [label["index"] for label in labels] == list(range(len(ids)))
    assert all(visible(label["text"]) for label in labels), [label["text"] for label in labels]
    assert all(label["kind"] in ("text", "space", "partial", "special", "control") for label in labels)


def test_letters_that_draw_nothing_are_told_by_their_number() -> None:
    for character in BLANK:
        assert tokens._visible(character.encode()) == (f"‹U+{ord(character):04X}›", "control")


@given(st.text(max_size=12))
def test_the_bytes_of_the_labels_are_those_of_the_text(text: str) -> None:
    tokenizer = tiny.tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    plain = [id_ for id_ in ids if id_ not in tokenizer.all_special_ids]
    if plain == ids:
        raw = b"".join(tokens._bytes(tokenizer, tokenizer.convert_ids_to_tokens(id_)) for id_ in ids)
        assert raw == text.encode()
    assert all(visible(label["text"]) for label in tokens.labels(tokenizer, ids))


def test_every_id_of_a_vocabulary_has_a_visible_label() -> None:
    for make in KINDS.values():
        tokenizer = make()
        assert all(visible(label["text"]) for label in tokens.labels(tokenizer, range(len(tokenizer) + 3)))


def shown(text: str, make: Callable[[], PreTrainedTokenizerFast] = tiny.tokenizer) -> list[tuple[str, str]]:
    tokenizer = make()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [(label["text"], label["kind"]) for label in tokens.labels(tokenizer, ids)]


def test_spaces_breaks_and_controls_have_signs() -> None:
    assert shown(" Mary") == [("·Mary", "text")]
    assert shown("\n\t") == [("↵", "space"), ("⇥", "space")]
    assert shown("\x07") == [("‹U+0007›", "control")]
    assert shown("\u202e")[-1][1] in ("control", "partial")


def test_a_sign_of_the_texts_own_is_not_taken_for_a_space() -> None:
    assert shown("·", byte_fallback)[-1] != shown(" ", byte_fallback)[-1]
    for sign in "·↵⇥␍":
        assert tokens._glyph(sign) == f"‹U+{ord(sign):04X}›"


def test_a_part_of_a_character_is_its_bytes() -> None:
    assert shown("€") == [("‹E2›", "partial"), ("‹82›", "partial"), ("‹AC›", "partial")]
    assert shown("€", byte_fallback) == [("‹E2›", "partial"), ("‹82›", "partial"), ("‹AC›", "partial")]
    assert shown("é", byte_fallback) == [("é", "text")]


def test_an_added_token_is_written_as_it_was_added() -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens(["naïve", "two words"])
    ids = tokenizer("naïve two words", add_special_tokens=False)["input_ids"]
    assert [label["text"] for label in tokens.labels(tokenizer, ids)] == ["naïve", "·", "two·words"]


def test_only_a_leading_bos_is_marked(llama: Tiny) -> None:
    ids = [0, 300, 0, 1]
    assert [label["bos"] for label in llama.model.labels(ids)] == [True, False, False, False]
    assert [label["kind"] for label in llama.model.labels(ids)] == ["special", "text", "special", "special"]
    assert llama.model.bos_positions(torch.tensor([ids])) == [0]
    assert llama.model.bos_positions(torch.tensor([ids[1:]])) == []


# -- from a prompt to ids ---------------------------------------------------------------------------------------------


def test_a_text_is_what_the_bridge_makes_of_it(small: Tiny) -> None:
    for text in (tiny.CLEAN, " leading", "<s> inside", "é 😀"):
        ids = small.model.ids(text)
        assert torch.equal(ids, small.model.bridge.to_tokens(text))
        plain = small.model.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids[0].tolist() in ([0, *plain], plain)
    with_bos, without = (small.model.ids(tiny.CLEAN, prepend_bos=choice)[0].tolist() for choice in (True, False))
    assert with_bos == [0, *without]


def test_a_chat_is_what_its_template_makes_of_it(llama: Tiny) -> None:
    chat = [{"role": "user", "content": "Mary and John"}, {"role": "assistant", "content": "went"}]
    template = llama.model.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)
    ids = llama.model.ids(chat)[0].tolist()
    assert ids == template["input_ids"] and ids[0] == 0 and ids[1] != 0


@pytest.mark.parametrize("ids", [[5, 6, 7], (5, 6, 7), torch.tensor([5, 6, 7]), torch.tensor([[5, 6, 7]])])
def test_ids_are_taken_as_they_are(llama: Tiny, ids: object) -> None:
    assert llama.model.ids(ids).tolist() == [[5, 6, 7]]  # type: ignore[arg-type]


def test_the_empty_text_is_the_bos_alone_or_nothing(llama: Tiny) -> None:
    assert llama.model.ids("").tolist() == [[0]]
    with pytest.raises(ValueError, match="no tokens"):
        llama.model.ids("", prepend_bos=False)


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ([], "no tokens"),
        (torch.zeros(1, 0, dtype=torch.long), "no tokens"),
        ([5] * (tiny.N_CTX + 1), "65 tokens, the model reads at most 64"),
        ("Mary " * tiny.N_CTX, "the model reads at most 64"),
        ([5, 383], "ids go from 0 to 382"),
        ([-1], "ids go from 0 to 382"),
        ("\ud800", "lone surrogate"),
        (torch.tensor([[5, 6], [7, 8]]), "one prompt"),
        (torch.tensor([1.5]), "whole numbers"),
        (["two", "texts"], "one prompt"),
        (None, "prompt"),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(llama: Tiny, prompt: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.run(llama.model, prompt)


def test_as_many_tokens_as_the_model_reads_are_run(small: Tiny) -> None:
    assert mi.run(small.model, [5] * tiny.N_CTX).logits.shape[0] == tiny.N_CTX


def test_an_answer_is_one_token_or_refused_with_its_pieces(llama: Tiny) -> None:
    assert llama.model.tokenizer.decode([llama.model.single(" Mary")]) == " Mary"
    with pytest.raises(ValueError, match=r"3 tokens \(‹E2› \| ‹82› \| ‹AC›\)"):
        llama.model.single("€")
    with pytest.raises(ValueError, match="0 tokens"):
        llama.model.single("")
    with pytest.raises(ValueError, match="share a token"):
        mi.run(llama.model, "a").metric([" Mary", "a"], " Mary")


def test_a_mark_alone_sits_on_a_circle() -> None:
    assert tokens._visible("\u064e".encode()) == ("◌\u064e", "text")
    assert tokens._visible("\U000e0100".encode())[0] == "‹U+E0100›"
    assert tokens._visible("e\u0301".encode()) == ("e\u0301", "text")


class Slow:
    """A tokenizer without offsets: only what decoding says."""

    is_fast = False

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.decode = tokenizer.decode


TEXT = "Mary, the 😀 bee and  the é."


@pytest.mark.parametrize("kind", ["byte-level", "byte fallback"])
@pytest.mark.parametrize("bos", [0, 1])
@pytest.mark.parametrize("slow", [False, True], ids=["offsets", "decoding"])
def test_a_character_is_found_in_the_token_that_ends_it(kind: str, bos: int, slow: bool) -> None:
    """Beside the bytes of the vocabulary: the token in which the character's last byte stands."""
    tokenizer = KINDS[kind]()
    ids = [tokenizer.bos_token_id] * bos + tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    raw = [tokens._bytes(tokenizer, tokenizer.convert_ids_to_tokens(id_)) for id_ in ids[bos:]]
    ends = [len(b"".join(raw[: n + 1])) for n in range(len(raw))]
    assert ends[-1] == len(TEXT.encode())
    for character in (n for n, letter in enumerate(TEXT) if letter != " "):
        expected = next(n for n, end in enumerate(ends) if end >= len(TEXT[: character + 1].encode()))
        found = tokens.token_at(Slow(tokenizer) if slow else tokenizer, TEXT, ids, character)
        assert found == bos + expected, TEXT[character]


def test_word_pieces_and_left_out_spaces_have_their_token() -> None:
    tokenizer, text = word_pieces(), "mary the aing b"
    ids = [1, *tokenizer(text, add_special_tokens=False)["input_ids"], 2]  # [CLS] … [SEP], as BERT reads it
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "mary", "the", "a", "##ing", "b", "[SEP]"]
    assert [tokens.token_at(tokenizer, text, ids[:-1], text.index(x)) for x in ("y", " ", "t", "a", "i", "b")] == [
        *(1, 2, 2, 1, 4, 5)
    ]


def test_a_character_that_no_token_shows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no token of 'zz' can be told to hold its character 1 \('z'\)"):
        tokens.token_at(Slow(tiny.tokenizer()), "zz", [5, 6], 1)


def test_roles_are_spans_the_first_difference_and_the_last_token(small: Tiny) -> None:
    start = tiny.CLEAN.index("John")
    second = tiny.CLEAN.index("John", start + 1)
    spans = {"S2": (second, second + 4), "S1": (start, start + 4), "begin": (0, 4)}
    roles = role_positions(small.model, mi.Pair(tiny.CLEAN, tiny.CORRUPT, "a", " John", spans))
    labels = [label["text"] for label in small.model.labels(small.model.ids(tiny.CLEAN))]
    assert list(roles) == ["S2", "S1", "begin", "first difference", "last"]
    johns = [n for n, label in enumerate(labels) if label == "·John"]
    assert [roles["S1"], roles["S2"]] == johns and roles["first difference"] == roles["S2"]
    assert roles["begin"] == labels.index("When") and roles["last"] == len(labels) - 1
    assert role_positions(small.model, mi.Pair("a", "a", "a", " John")) == {"last": small.model.ids("a").shape[1] - 1}


def test_roles_of_unequal_prompts_are_those_of_the_clean_one(llama: Tiny) -> None:
    """A prompt that the other goes on from has no token that differs."""
    short, long = "a", "a the"
    assert role_positions(llama.model, mi.Pair(short, long, " John", " Mary")) == {"last": 1}
    assert role_positions(llama.model, mi.Pair(long, short, " John", " Mary")) == {"first difference": 2, "last": 2}


def test_roles_without_bos_stand_one_earlier(llama: Tiny) -> None:
    pair = mi.Pair(tiny.CLEAN, tiny.CORRUPT, "a", " John", {"begin": (0, 4)})
    with_bos, without = (role_positions(llama.model, pair, bos) for bos in (True, False))
    assert without == {name: place - 1 for name, place in with_bos.items()}
