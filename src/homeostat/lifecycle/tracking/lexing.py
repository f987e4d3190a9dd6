"""Filters cut into words, quoted texts, numbers and signs; called by their language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from homeostat.foundation import errors

_LONGEST_SHOWN: Final = 100

KEY: Final = r"""(?:`[^`]+`|"[^"]+"|[^\W\d][\w.\-/:@]*|\d+[^\W\d][\w.\-/:@]*)"""
_PIECES: Final = re.compile(
    r"""\s*(?:
    (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<word>(?:`?[^\W\d]\w*`?\.\s*)(?:'[^']+'|"""
    + KEY
    + r""")|`[^`]+`|[^\W\d][\w.\-/:@]*)
    |(?P<quoted>'(?:''|\\'|[^'])*'|"(?:""|\\"|[^"])*")
    |(?P<compared>[<>=~!]+)|(?P<open>\()|(?P<close>\))|(?P<comma>,)|(?P<end>\Z)
    )""",
    re.VERBOSE,
)


class Piece(NamedTuple):
    """A piece of a filter."""

    kind: str  # word, quoted, number, compared, open, close, comma, or end
    text: str


class Reader:
    """Pieces of a filter, one after the other; behind the last one stands `end`.

    Parameters
    ----------
    text
        The filter.

    Raises
    ------
    InvalidInputError
        When a piece of it is nothing that stands in filters.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._pieces = list(_pieces(text))
        self._at = 0

    def next(self) -> Piece:
        """Take the next piece."""
        piece = self._pieces[self._at]
        self._at = min(self._at + 1, len(self._pieces) - 1)
        return piece

    def peek(self) -> Piece:
        """Return the next piece and leave it there."""
        return self._pieces[self._at]


def _pieces(text: str) -> Iterator[Piece]:
    if ";" in re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "", text).rstrip("; \t\r\n"):
        raise errors.InvalidInputError(
            f"Search filter contained multiple expression {cut(text)!r}."
            " Provide AND-ed expression list."
        )
    at = 0
    while True:
        match = _PIECES.match(text, at)
        if match is None or match.lastgroup is None:
            raise errors.InvalidInputError(
                f"Invalid clause(s) in filter string: '{cut(text[at:].strip())}'"
            )
        at = match.end()
        yield Piece(match.lastgroup, match.group(match.lastgroup))
        if match.lastgroup == "end":
            return


def check_text(text: str) -> None:
    """Refuse text that no database takes.

    Parameters
    ----------
    text
        Of a client.

    Raises
    ------
    InvalidInputError
        When it holds NUL or half a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise errors.InvalidInputError("the text is no valid Unicode") from None
    if "\0" in text:
        raise errors.InvalidInputError(f"a NUL character stands in {cut(text)!r}")


def is_word(piece: Piece, *words: str) -> bool:
    """Tell whether a piece is one of some words, in whatever letters."""
    return piece.kind == "word" and piece.text.upper() in words


def cut(text: str) -> str:
    """Shorten what is shown back to a client."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
