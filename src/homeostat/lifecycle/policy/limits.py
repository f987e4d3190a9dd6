"""What the loop may change by itself, and what it makes of labels that its answers select.

Two sections of `homeostat.toml`: ``[envelope]`` and ``[selection]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1, description="a whole number, 1 or more")]
Number = Annotated[float, Meta(description="a number")]
Weight = Annotated[float, Meta(ge=1, description="a number, 1 or more")]
Text = Annotated[str, Meta(min_length=1, description="some text")]
Tier = Annotated[Literal["low", "medium", "high"], Meta(description="low, medium or high")]
Handling = Annotated[
    Literal["reweight", "exclude", "none"], Meta(description="reweight, exclude or none")
]
ENDS = 2


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[envelope]``: a pre-determined change goes on by itself; any other one asks a person.

    In force once any bound is written in it. A candidate is compared with the latest version
    that a person let in, or else the first one.

    Attributes
    ----------
    tiers
        In these the loop may go on by itself; in all when not given. A tier that asks for a
        person's approval anyway goes on asking.
    rows_at_least, rows_at_most
        Rows that a fit may learn from.
    parameters
        Hyper-parameters of the pipeline that may change, with their smallest and largest value;
        any other one that changed is outside.
    gain_at_least, gain_at_most
        The gates' metric, candidate less what was served on the same rows: a gain too good to
        be true is outside as well.
    code
        Whether the pipeline's code may be another; true when not given.
    ask
        Receivers of ``[alerts]`` that are asked to approve; those of ``tell`` when not given.
    """

    tiers: tuple[Tier, ...] | None = None
    rows_at_least: Count | None = None
    rows_at_most: Count | None = None
    parameters: dict[Text, tuple[Number, ...]] = {}
    gain_at_least: Number | None = None
    gain_at_most: Number | None = None
    code: bool | None = None
    ask: tuple[Text, ...] = ()

    @property
    def is_said(self) -> bool:
        """Whether the policy draws an envelope at all."""
        return msgspec.structs.replace(self, ask=()) != Envelope()


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[selection]``: labels come only for some answers (loans that were granted).

    Attributes
    ----------
    revealing
        The answer that labels come for; none, when not given: every row may get its label.
    handling
        What a fit does: ``reweight`` rows by the inverse of the chance that their label was
        revealed, at most `weight_at_most`; ``exclude`` rows whose chance was smaller than its
        inverse, or is not known, and reweight the others; or ``none``.
    weight_at_most
        Largest weight of a row, 1 or more.
    """

    revealing: Text | None = None
    handling: Handling = "reweight"
    weight_at_most: Weight = 20.0


def flaws(envelope: Envelope) -> Iterator[tuple[str, str, str, str]]:
    """Yield section, key, sentence and hint of what cannot be right in an envelope.

    Examples
    --------
    >>> [flaw[2] for flaw in flaws(Envelope(rows_at_least=9, rows_at_most=3))]
    ['[envelope] rows_at_most is 3, below rows_at_least, which is 9']
    """
    for name, ends in envelope.parameters.items():
        if len(ends) != ENDS or ends[0] > ends[1]:
            said = f"[envelope] parameters: {name} needs smallest and largest, got {list(ends)}"
            yield "envelope", "parameters", said, "[0.01, 0.2]"
    for low, high in (("rows_at_least", "rows_at_most"), ("gain_at_least", "gain_at_most")):
        least, most = getattr(envelope, low), getattr(envelope, high)
        if least is not None and most is not None and most < least:
            said = f"[envelope] {high} is {most:g}, below {low}, which is {least:g}"
            yield "envelope", high, said, ""
