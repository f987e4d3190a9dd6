"""What happens to the lender, in order: the script of the demo; only the simulator knows it."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.doors.cli.demo import lender


@dataclass(frozen=True)
class Stretch:
    """Some applications in a row under one intake, one world and one feed."""

    n: int
    intake: lender.Intake = lender.STEADY_INTAKE
    world: lender.World = lender.STEADY_WORLD
    income_factor: float = 1.0


@dataclass(frozen=True)
class Phase:
    """A chapter: its name in ``--json``, its title for people, and what is sent."""

    name: str
    title: str
    told: str
    stretches: tuple[Stretch, ...]

    @property
    def n_rows(self) -> int:
        """Applications of the whole chapter."""
        return sum(stretch.n for stretch in self.stretches)


HISTORY_ROWS = 4000
CENTS = 100.0

PHASES = (
    Phase(
        "steady",
        "1 steady",
        "Business as usual.",
        (Stretch(2400),),
    ),
    Phase(
        "harmless-shift",
        "2 harmless shift",
        "A campaign in the capital changes who applies, not how they behave.",
        (Stretch(1200, intake=lender.CAMPAIGN_INTAKE), Stretch(600)),
    ),
    Phase(
        "broken-feed",
        "3 broken feed",
        "After a release upstream, income arrives in cents; after a while it is mended.",
        (Stretch(100), Stretch(700, income_factor=CENTS), Stretch(800)),
    ),
    Phase(
        "world-changed",
        "4 the world changes",
        "A recession: the same applicant now behaves differently.",
        (Stretch(5200, world=lender.RECESSION_WORLD),),
    ),
)
