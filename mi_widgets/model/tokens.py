"""Tokens: one rule from a prompt to ids, and one label for each id that a person can read.

A text becomes exactly `bridge.to_tokens(text)`: the tokenizer's ids with TransformerLens's default of one BOS. Chat
messages become exactly the chat template's ids. Ids are taken as they are. Nothing is ever cut off in silence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import torch

Prompt = str | Sequence[int] | Sequence[dict[str, str]] | torch.Tensor
_GLYPHS = {" ": "·", "\n": "↵", "\t": "⇥", "\r": "␍"}
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
#: Letters, marks and a symbol that draw nothing: fillers, joiners, variation selectors, the empty braille cell.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(c) for c in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def encode(bridge: Any, prompt: Prompt, prepend_bos: bool | None = None) -> torch.Tensor:
    """The ids [1, pos] of a text, of chat messages, or of ids; ValueError when there are none or too many."""
    if isinstance(prompt, str):
        ids = _encode_text(bridge, prompt, prepend_bos)
    elif _is_chat(prompt):
        chat = bridge.tokenizer.apply_chat_template(
            list(prompt), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        ids = chat["input_ids"]
    else:
        ids = _as_ids(prompt)
    return _checked(bridge, ids)


def _encode_text(bridge: Any, text: str, prepend_bos: bool | None) -> torch.Tensor:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        where = f"at character {error.start}: {text[error.start]!r}"
        raise ValueError(f"the prompt holds a lone surrogate {where}") from None
    return bridge.to_tokens(text, prepend_bos=prepend_bos, truncate=False)


def _is_chat(prompt: Any) -> bool:
    return isinstance(prompt, (list, tuple)) and len(prompt) > 0 and isinstance(prompt[0], dict)


def _as_ids(prompt: Any) -> torch.Tensor:
    """Token ids as they are; anything that is not one row of whole numbers is refused."""
    try:
        ids = torch.as_tensor(prompt if isinstance(prompt, torch.Tensor) else list(prompt))
    except (TypeError, ValueError):
        raise ValueError("give one prompt: a text, chat messages, or a row of token ids") from None
    if ids.numel() and (ids.is_floating_point() or ids.dtype == torch.bool):
        raise ValueError(f"token ids are whole numbers, not {ids.dtype}")
    if ids.ndim > 2 or (ids.ndim == 2 and len(ids) != 1):
        raise ValueError(f"give one prompt at a time, not {tuple(ids.shape)}")
    return ids.reshape(1, -1).long()


def _checked(bridge: Any, ids: torch.Tensor) -> torch.Tensor:
    limit = getattr(bridge.cfg, "n_ctx", None)
    if ids.shape[-1] == 0:
        raise ValueError("the prompt has no tokens; give at least one character")
    if limit and ids.shape[-1] > limit:
        raise ValueError(f"the prompt has {ids.shape[-1]} tokens, the model reads at most {limit}; shorten it")
    if ids.min() < 0 or ids.max() >= bridge.cfg.d_vocab:
        raise ValueError(f"token ids go from 0 to {bridge.cfg.d_vocab - 1}; got {int(ids.min())} to {int(ids.max())}")
    return ids.to(bridge.cfg.device)


def batches(prompts: Sequence[torch.Tensor], most: int = 2048) -> list[tuple[list[int], torch.Tensor]]:
    """Prompts [1, pos] in batches of one length each: their numbers, and ids [batch, pos] of at most `most` tokens."""
    by_length: dict[int, list[int]] = {}
    for number, ids in enumerate(prompts):
        by_length.setdefault(ids.shape[1], []).append(number)
    chunks = (
        alike[start : start + size]
        for length, alike in by_length.items()
        for size in [max(1, most // length)]
        for start in range(0, len(alike), size)
    )
    return [(chunk, torch.cat([prompts[number] for number in chunk])) for chunk in chunks]


def single(tokenizer: Any, text: str) -> int:
    """The id of a text that is exactly one token (an answer or a foil); ValueError with the pieces otherwise."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        pieces = [label(tokenizer, id_, i)["text"] for i, id_ in enumerate(ids)]
        raise ValueError(
            f"{text!r} is {len(ids)} tokens ({' | '.join(pieces)}); this metric needs exactly one. "
            "A word inside a sentence usually starts with a space: ' Paris'"
        )
    return int(ids[0])


def token_at(tokenizer: Any, text: str, ids: Sequence[int], character: int) -> int:
    """Which of a text's ids, in front of which a BOS may stand, holds a character; the last one where it takes several.

    By the tokenizer's own offsets where they are those of these ids, else by decoding more and more of them; ValueError
    where neither finds it. A space that the offsets leave out belongs to the token after it.
    """
    if getattr(tokenizer, "is_fast", False):
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        before = len(ids) - len(encoded["input_ids"])
        if before >= 0 and list(ids[before:]) == list(encoded["input_ids"]):
            return before + _offset_at(encoded["offset_mapping"], character)
    for index in range(len(ids)):
        read = tokenizer.decode(ids[: index + 1], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if read[: character + 1] == text[: character + 1]:
            return index
    raise ValueError(f"no token of {text!r} can be told to hold its character {character} ({text[character]!r})")


def _offset_at(offsets: Sequence[tuple[int, int]], character: int) -> int:
    holding = [index for index, (start, end) in enumerate(offsets) if start <= character < end]
    return holding[-1] if holding else next(index for index, (start, _) in enumerate(offsets) if start > character)


def labels(tokenizer: Any, ids: Sequence[int]) -> list[dict[str, Any]]:
    """One label for each id; see `label`."""
    return [label(tokenizer, int(id_), i) for i, id_ in enumerate(ids)]


def label(tokenizer: Any, id_: int, index: int = 0) -> dict[str, Any]:
    """What a person sees of one token: always visible, its bytes as hex where they are no character.

    Returns {"index", "id", "text", "kind", "bos"}; kind is text, space, partial, special or control.
    """
    special = id_ in tokenizer.all_special_ids
    raw = tokenizer.convert_ids_to_tokens(id_) if id_ < len(tokenizer) else None
    if raw is None:
        text, kind = f"‹id {id_}›", "special"
    elif special:
        text, kind = raw, "special"
    else:
        added = id_ in tokenizer.added_tokens_decoder
        text, kind = _visible(raw.encode() if added else _bytes(tokenizer, raw))
    bos = index == 0 and special and id_ == tokenizer.bos_token_id
    return {"index": index, "id": id_, "text": text, "kind": kind, "bos": bos}


def _bytes(tokenizer: Any, raw: str) -> bytes:
    """The bytes a vocabulary entry stands for, in byte-level, byte-fallback and plain vocabularies."""
    if byte := _BYTE_TOKEN.fullmatch(raw):
        return bytes([int(byte[1], 16)])
    if _byte_level(tokenizer) and all(character in _BYTE_OF for character in raw):
        return bytes(_BYTE_OF[character] for character in raw)
    return raw.replace("▁", " ").encode("utf-8", "surrogatepass")


def _byte_level(tokenizer: Any) -> bool:
    """Byte-level vocabularies write a space as Ġ."""
    return tokenizer.convert_tokens_to_ids("Ġ") not in (None, tokenizer.unk_token_id)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others are shifted above 255."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


_BYTE_OF = _byte_alphabet()


def _visible(raw: bytes) -> tuple[str, str]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return f"‹{raw.hex(' ').upper()}›", "partial"
    if not text:
        return "‹empty›", "control"
    shown = "".join(_glyph(character) for character in text)
    if unicodedata.category(text[0]).startswith("M") and shown[0] == text[0]:
        shown = f"◌{shown}"  # a mark that would sit on the token before
    if not text.strip(" \n\t\r"):
        return shown, "space"
    hidden = all(_glyph(character).startswith("‹") for character in text)
    return shown, "control" if hidden else "text"


def _glyph(character: str) -> str:
    if character in _GLYPHS:
        return _GLYPHS[character]
    hidden = unicodedata.category(character) in _UNSEEN or character in _BLANK
    mistakable = character in _GLYPHS.values()  # a middle dot of the text's own is not a space
    return f"‹U+{ord(character):04X}›" if hidden or mistakable else character
