"""Nouns of the corrector: what is known of it, and what is asked of it; part of `entities`."""

from __future__ import annotations

import msgspec


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the residual corrector: is it worth its answers, when was it fitted.

    `evidence` is discounted log evidence that it answers better than the composite alone;
    `fitted_block` is -1 before the first fit; `answers` is what the evidence has decided.
    """

    evidence: float = 0.0
    fitted_block: int = -1
    # Came later: where it is unset, what is needed to go on decides.
    answers: bool | msgspec.UnsetType = msgspec.UNSET


class FitCorrector(msgspec.Struct, frozen=True, kw_only=True, tag="fit-corrector"):
    """Fit the residual corrector anew on these rows, from what the composite said of them."""

    rows: tuple[int, int]


class SwitchCorrector(msgspec.Struct, frozen=True, kw_only=True, tag="switch-corrector"):
    """Give the corrector's answers from here on, or give them no more."""

    answers: bool
