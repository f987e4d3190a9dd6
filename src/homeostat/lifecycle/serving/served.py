"""A deployment as one process answers for it: made whole, then put in place by one assignment.

Made by `engine` from a plan document and loaded versions; never changed afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from homeostat.foundation import errors, ids
from homeostat.lifecycle.predictions import frames
from homeostat.lifecycle.serving import (
    answering,
    composite,
    entities,
    plan,
    router,
    shadowing,
)

ROWS_AT_MOST = 10_000


class Loaded(NamedTuple):
    """A version ready to answer.

    `classes` are all its labels, `labels` what is answered below a score of 0.5 and from there
    on; both empty for a regression. `columns` are its features as (name, kind of the schema);
    ``validate(row, index)`` returns a request's row with the types of the schema or raises
    InvalidInputError naming its path.
    """

    predictor: composite.Predictor
    classes: tuple[str, ...]
    labels: tuple[str | None, str] | None
    columns: tuple[tuple[str, str], ...]
    validate: Callable[..., dict[str, Any]]


class Served:
    """One generation of a deployment, at work.

    Parameters
    ----------
    document
        The plan and what belongs to it.
    loaded
        Every version the plan names.
    post
        The log, threads and counts of this process.
    """

    def __init__(
        self,
        document: entities.PlanDocument,
        *,
        loaded: Mapping[int, Loaded],
        post: answering.Post,
    ) -> None:
        self.document = document
        champion = loaded[plan.champion(document.plan)]
        self.classes = champion.classes
        self.columns = champion.columns
        self._validate = champion.validate
        features = tuple(name for name, _ in champion.columns)
        self._features = frozenset(features)
        self._context = tuple(name for name in document.protected if name not in features)
        self._aside = frozenset({*self._context, document.key} - self._features)
        layout = frames.Layout(
            features, tuple(kind for _, kind in champion.columns), self._context
        )
        self._router = router.Router(document.plan)
        self.arms = tuple(
            _arm(document, one, layout=layout, loaded=loaded, post=post)
            for one in document.plan.arms
        )
        watchers = [
            shadowing.Watcher(
                one.version,
                one.share,
                _arm(
                    document,
                    entities.Arm(plan.SHADOW, 0.0, (entities.Member(one.version, 1.0),)),
                    layout=layout,
                    loaded=loaded,
                    post=post,
                ),
            )
            for one in document.plan.shadow
        ]
        self.shadows = shadowing.Shadows(watchers, salt=document.plan.salt, post=post)

    def admit(
        self, rows: Sequence[dict[str, Any]], keys: Sequence[str | None] | None = None
    ) -> answering.Request:
        """Check rows before they join a batch, so that a bad one fails alone.

        Parameters
        ----------
        rows
            As the caller sent them: features, and columns named as protected or as the key.
        keys
            One per row; a row without one is known by the column that the policy names as key,
            or else by its prediction id.

        Returns
        -------
        Request
            Features validated, context set aside, ids given.

        Raises
        ------
        InvalidInputError
            When a row does not fit the schema, naming its path such as ``rows[3].income``.
        TooLargeError
            When there are more than 10,000 rows.
        """
        if not rows:
            raise errors.InvalidInputError("a prediction needs at least one row; seen none")
        if len(rows) > ROWS_AT_MOST:
            raise errors.TooLargeError(
                f"one request scores up to {ROWS_AT_MOST} rows; seen {len(rows)}",
                hint="send them in parts",
            )
        if keys is not None and len(keys) != len(rows):
            raise errors.InvalidInputError(f"{len(rows)} rows came with {len(keys)} keys")
        first = int(ids.new_id(), 16)
        named = [f"{first + at:032x}" for at in range(len(rows))]
        features, context, found = [], [], []
        for at, row in enumerate(rows):
            aside = {name: row[name] for name in self._aside if name in row}
            features.append(self._check(row, aside, at=at))
            key = keys[at] if keys is not None and keys[at] is not None else None
            if key is None:
                key = aside.get(self.document.key, row.get(self.document.key))
            found.append(named[at] if key is None else str(key))
            context.append({name: _plain(value) for name, value in aside.items()})
        return answering.Request(features, named, found, context)

    def route(self, request: answering.Request) -> dict[int, list[int]]:
        """Deal the rows of a request to the arms.

        Parameters
        ----------
        request
            An admitted request.

        Returns
        -------
        dict
            Index of an arm to the indices of its rows.
        """
        dealt: dict[int, list[int]] = {}
        for at, key in enumerate(request.keys):
            dealt.setdefault(self._router.arm(key), []).append(at)
        return dealt

    async def idle(self) -> None:
        """Wait until everything admitted is answered and logged."""
        for arm in self.arms:
            await arm.lane.idle()
        await self.shadows.idle()

    def _check(self, row: dict[str, Any], aside: dict[str, Any], *, at: int) -> dict[str, Any]:
        given = row
        if aside:
            given = {name: value for name, value in row.items() if name not in aside}
        return self._validate(given, at)


def _arm(
    document: entities.PlanDocument,
    arm: entities.Arm,
    *,
    layout: frames.Layout,
    loaded: Mapping[int, Loaded],
    post: answering.Post,
) -> answering.AnsweringArm:
    members = sorted(arm.members, key=lambda member: member.version)
    seats = [
        composite.Seat(one.version, one.weight, loaded[one.version].predictor)
        for one in members
    ]
    place = answering.Place(
        document.deployment,
        document.plan.generation,
        arm.name,
        plan.label(arm),
        arm.name != plan.SHADOW,
        layout,
    )
    labels = loaded[members[0].version].labels
    return answering.AnsweringArm(place, seats, labels=labels, post=post)


def _plain(value: Any) -> Any:
    """Keep what a log can hold; anything else is context as text."""
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
