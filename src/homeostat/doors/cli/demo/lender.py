"""A simulated lender: applicants with a documented causal structure; the demo plays with it.

Nothing in here is real data. Who causes whom:

    region ─▶ income ◀─ age, sex (a pay gap)        sex is protected and causes nothing else
    age ─▶ history_years
    income ─▶ debt_ratio
    debt_ratio, utilisation, history_years, income, region ─▶ default

A *world* says how applicants behave (the last arrow), an *intake* says who applies (the first
three), a *feed* says how the income column is written down. The four phases of the demo change
one of the three and nothing else; the platform is told none of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

REGIONS = ("capital", "north", "south", "east", "west")
FEATURES = ("income", "debt_ratio", "history_years", "utilisation", "region")


@dataclass(frozen=True)
class Intake:
    """Who applies.

    Parameters
    ----------
    region_shares
        One share per region, in the order of `REGIONS`, summing to 1.
    mean_age
        Mean age of applicants in years.
    """

    region_shares: tuple[float, ...] = (0.20, 0.20, 0.20, 0.20, 0.20)
    mean_age: float = 42.0


@dataclass(frozen=True)
class World:
    """How applicants behave: the log-odds of default are linear in these effects.

    Parameters
    ----------
    base
        Log-odds of default of the average applicant.
    debt, utilisation, history, income
        Effect of one standard unit of each.
    regions
        Effect of living in each region, in the order of `REGIONS`.
    """

    base: float = -1.9
    debt: float = 2.4
    utilisation: float = 2.2
    history: float = -1.2
    income: float = -1.4
    regions: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)


STEADY_INTAKE = Intake()
CAMPAIGN_INTAKE = Intake(region_shares=(0.56, 0.11, 0.11, 0.11, 0.11))
STEADY_WORLD = World()
RECESSION_WORLD = World(
    base=-1.2,
    debt=3.6,
    utilisation=-3.2,
    history=0.6,
    income=-2.0,
    regions=(-3.4, 4.6, 4.6, -3.4, -3.4),
)


@dataclass
class Lender:
    """A stream of applications; the same seed gives the same applicants.

    Parameters
    ----------
    seed
        Of the random generator, any integer.
    """

    seed: int = 7
    n_seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def applications(
        self,
        n: int,
        *,
        intake: Intake = STEADY_INTAKE,
        world: World = STEADY_WORLD,
        income_factor: float = 1.0,
    ) -> pl.DataFrame:
        """Draw the next applicants, with the outcome that only the future knows.

        Parameters
        ----------
        n
            How many, 1 or more.
        intake, world
            Who applies and how they behave.
        income_factor
            What the feed multiplies income by: 1 as agreed, 100 when it writes cents.

        Returns
        -------
        polars.DataFrame
            Columns application_id, income (per year), debt_ratio (share), history_years,
            utilisation (share), region, sex, defaulted (0 or 1).
        """
        rng = self._rng
        region = rng.choice(len(REGIONS), size=n, p=intake.region_shares)
        age = np.clip(rng.normal(intake.mean_age, 11.0, size=n), 19, 80)
        sex = rng.integers(0, 2, size=n)
        earning = rng.normal(0.0, 0.45, size=n) + 0.006 * (age - 42) - 0.08 * (sex == 0)
        income = 38_000.0 * np.exp(earning)
        history = np.clip((age - 19) * rng.uniform(0.1, 0.9, size=n), 0, None)
        debt = np.clip(0.35 - 0.08 * earning + rng.normal(0, 0.16, size=n), 0.0, 1.5)
        utilisation = rng.beta(1.6, 1.9, size=n)
        logit = (
            world.base
            + world.debt * (debt - 0.35) / 0.17
            + world.utilisation * (utilisation - 0.46) / 0.24
            + world.history * (history - 11.5) / 8.0
            + world.income * earning / 0.46
            + np.take(world.regions, region)
        )
        defaulted = rng.random(n) < 1.0 / (1.0 + np.exp(-logit))
        first = self.n_seen
        self.n_seen += n
        return pl.DataFrame(
            {
                "application_id": [f"A{first + i:06d}" for i in range(n)],
                "income": np.round(income * income_factor, 0),
                "debt_ratio": np.round(debt, 4),
                "history_years": np.round(history, 1),
                "utilisation": np.round(utilisation, 4),
                "region": [REGIONS[i] for i in region],
                "sex": np.where(sex == 0, "f", "m"),
                "defaulted": defaulted.astype(np.int64),
            }
        )
