"""Values as they stand in a filter: numbers, quoted texts and lists; called by its language."""

from __future__ import annotations

import re

from homeostat.foundation import errors
from homeostat.lifecycle.tracking import lexing


def read_list(reader: lexing.Reader) -> tuple[str, ...]:
    """Read the texts of a list whose bracket has been read.

    Parameters
    ----------
    reader
        Stands behind the bracket; afterwards behind the closing one.

    Returns
    -------
    tuple of str
        One or more.

    Raises
    ------
    InvalidInputError
        When it is empty, or holds anything but quoted texts and commas.
    """
    found: list[str] = []
    while (piece := reader.next()).kind != "close":
        if piece.kind != "quoted":
            raise errors.InvalidInputError(
                "While parsing a list in the query, expected string value, punctuation, or"
                f" whitespace, but got different type in list: {lexing.cut(piece.text)!r}"
            )
        found.append(piece.text[1:-1])
        following = reader.peek()
        if following.kind == "comma":
            reader.next()
        elif following.kind != "close":
            raise errors.InvalidInputError(
                "While parsing a list in the query, expected a non-empty list of string"
                " values, but got ill-formed list."
            )
    if not found:
        raise errors.InvalidInputError(
            "While parsing a list in the query, expected a non-empty list of string values,"
            " but got empty list"
        )
    return tuple(found)


def check(piece: lexing.Piece, shown: str, key: str, *, kind: str, is_listed: bool) -> None:
    """Refuse a value of another type than the field's.

    Parameters
    ----------
    piece
        Of the value; the bracket for a list.
    shown, key
        Subject and name of the field, for the sentence.
    kind
        number, whole or text.
    is_listed
        Whether the field is compared with lists too.

    Raises
    ------
    InvalidInputError
        When the types differ.
    """
    text = lexing.cut(piece.text)
    if kind == "number":
        if piece.kind != "number":
            of = "metric" if shown == "metric" else f"numeric {shown}: {lexing.cut(key)}"
            raise errors.InvalidInputError(
                f"Expected numeric value type for {of}. Found {text}"
            )
        return
    if piece.kind == "word":
        raise errors.InvalidInputError(
            "Parameter value is either not quoted or unidentified quote types used for string"
            f" value {text}. Use either single or double quotes."
        )
    is_right = piece.kind == "quoted" or (kind == "whole" and piece.kind == "number")
    is_listable = piece.kind == "open" and shown not in ("parameter", "tag", "metric")
    if not is_right and not (is_listable or (piece.kind == "open" and is_listed)):
        of = {"attribute": "attributes", "dataset": "dataset attributes"}.get(
            shown, f"{shown} (e.g. 'my-value')"
        )
        raise errors.InvalidInputError(
            f"Expected a quoted string value for {of}. Got value {text}"
        )


def read(piece: lexing.Piece, key: str, *, kind: str) -> float | str:
    """Make of a piece that `check` let pass what it stands for.

    Parameters
    ----------
    piece
        A number or a quoted text.
    key
        Name of the field, for the sentence.
    kind
        number, whole or text.

    Returns
    -------
    int, float or str
        Text as it stands between its quotes.

    Raises
    ------
    InvalidInputError
        When the quoted text is no whole number, but the kind is.
    """
    plain = piece.text[1:-1] if piece.kind == "quoted" else piece.text
    if kind == "text":
        return plain
    if kind == "whole":
        if not re.fullmatch(r"[+-]?\d{1,18}", plain, re.ASCII):
            raise errors.InvalidInputError(
                f"Invalid value for numeric attribute '{key}': {lexing.cut(plain)!r}"
            )
        return int(plain)
    # Longer whole numbers than a database holds are compared as what they are near to.
    return int(plain) if re.fullmatch(r"[+-]?\d{1,18}", plain, re.ASCII) else float(plain)
