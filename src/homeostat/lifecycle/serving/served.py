"""A deployment as one process answers for it: made whole, then put in place by one assignment.

Made by `engine` from a plan document and loaded versions; never changed afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from homeostat.foundation import errors, ids
from homeostat.lifecycle.predictions import frames, labelling
from homeostat.lifecycle.predictions import keys as known_by
from homeostat.lifecycle.serving import (
    answering,
    asking,
    batcher,
    composite,
    entities,
    plan,
    router,
    rules,
    seating,
    several,
    shadowing,
)

ROWS_AT_MOST = 10_000


class Loaded(NamedTuple):
    """A version ready to answer.

    `classes` are all its labels, `labels` what is answered below a score of 0.5 and from there
    on; both empty for a regression. `columns` are its features as (name, kind of the schema);
    ``validate(row, index)`` returns a request's row with the types of the schema or raises
    InvalidInputError naming its path; ``read(names, columns, n_rows)`` does so for columns.
    ``unseen(columns)`` names the categories among them that training never saw, and
    ``is_seen(row)`` tells of one row that there are none. `task` says what a score is, as the
    description of the version does.
    """

    predictor: composite.Predictor
    classes: tuple[str, ...]
    labels: tuple[str | None, str] | None
    columns: tuple[tuple[str, str], ...]
    validate: Callable[..., dict[str, Any]]
    read: Callable[..., list[list[Any]]]
    unseen: Callable[[list[list[Any]]], dict[str, list[str]]] | None = None
    task: str = "binary"
    is_seen: Callable[[Sequence[Any]], bool] | None = None

    @property
    def is_several(self) -> bool:
        """Whether each class has a score."""
        return self.task == "multiclass"

    @property
    def takes(self) -> tuple[str, ...]:
        """Which labels it may get: its classes, or any number."""
        return labelling.A_NUMBER if self.task == "regression" else self.classes


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

    Attributes
    ----------
    several
        The classes that it scores, where each has a score; none for two classes, or a number.
    takes
        The labels it may get.
    asked
        Which request of its process it answered last; the engine's to set.
    form
        What the door has compiled for its requests; the door's to set.
    """

    def __init__(
        self,
        document: entities.PlanDocument,
        *,
        loaded: Mapping[int, Loaded],
        post: answering.Post,
    ) -> None:
        self.document = document
        self.asked = 0
        self.form: Any = None
        first = plan.champion(document.plan)
        champion = loaded[first]
        self.classes = champion.classes
        self.takes = champion.takes
        self.several = several.classes_of(loaded, first=first)
        self.columns = champion.columns
        self._validate = champion.validate
        self._read = champion.read
        self._find_unseen = champion.unseen
        self._is_seen = champion.is_seen
        self._meters = post.meters
        features = self.features = tuple(name for name, _ in champion.columns)
        self._context = tuple(name for name in document.protected if name not in features)
        self._aside = frozenset({*self._context, document.key, ""}.difference(features, [""]))
        self._key_at = features.index(document.key) if document.key in features else None
        layout = frames.Layout(
            features,
            tuple(kind for _, kind in champion.columns),
            self._context,
            self.several,
        )
        place = rules.Place(features, self._context, document.key)
        self._router = router.Router(document.plan, place=place)
        self._draw = None if self._router.is_ruled else self._router.draw
        turn = batcher.Turn()
        self.arms = tuple(
            seating.arm(document, one, layout=layout, loaded=loaded, post=post, turn=turn)
            for one in document.plan.arms
        )
        watchers = [
            shadowing.Watcher(
                router.Sample(one.share, version=one.version),
                seating.arm(
                    document,
                    entities.Arm(plan.SHADOW, 0.0, (entities.Member(one.version, 1.0),)),
                    layout=layout,
                    loaded=loaded,
                    post=post,
                ),
            )
            for one in document.plan.shadow
        ]
        self.shadows = shadowing.Shadows(watchers, post=post, draw=self._router.draw)

    def admit(
        self,
        names: Sequence[str],
        columns: Sequence[Sequence[Any]],
        *,
        n_rows: int,
        keys: Sequence[str | None] | None = None,
    ) -> asking.Request:
        """Check rows before they join a batch, so that a bad one fails alone.

        Parameters
        ----------
        names
            Of the columns that came: features, and those named as protected or as the key.
        columns
            Each of `n_rows` values, as the caller sent them.
        n_rows
            1 to 10,000.
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
        _check_size(n_rows, keys)
        found: Sequence[Any] | None = None
        context: list[list[Any]] = [[None] * n_rows for _ in self._context]
        if tuple(names) != self.features:
            given = dict(zip(names, columns, strict=True))
            if self._aside:
                context = [
                    [frames.plain(one) for one in given[name]] if name in given else empty
                    for name, empty in zip(self._context, context, strict=True)
                ]
                found = given.get(self.document.key)
                for name in self._aside:
                    given.pop(name, None)
            names, columns = list(given), list(given.values())
        elif self._key_at is not None:
            found = columns[self._key_at]
        checked = self._read(names, columns, n_rows)
        named = ids.new_ids(n_rows)
        request = asking.Request(
            checked,
            named,
            keys=known_by.of_rows(named, keys, found, column=self.document.key),
            context=context,
        )
        self._look(request)
        return request

    def admit_checked(self, row: list[Any], key: str | None = None) -> asking.Request:
        """Let one row in that was checked by the form that the door compiled.

        Parameters
        ----------
        row
            Features in their order, each of the schema's type, none missing.
        key
            What it is known by, where the request said so outside of its columns.

        Returns
        -------
        Request
            As `admit` makes it.
        """
        named = [ids.new_id()]
        found = None if self._key_at is None else [row[self._key_at]]
        keys = (
            named
            if key is None and found is None
            else known_by.of_rows(named, [key], found, column=self.document.key)
        )
        context: list[list[Any]] = [[None] for _ in self._context]
        request = asking.Request(None, named, keys=keys, context=context, row=row)
        if self._is_seen is None or not self._is_seen(row):
            self._look(request)
        return request

    def admit_rows(
        self, rows: Sequence[dict[str, Any]], keys: Sequence[str | None] | None = None
    ) -> asking.Request:
        """Check rows that came as objects; as `admit` otherwise.

        Parameters
        ----------
        rows
            1 to 10,000, as the caller sent them; each may have other columns beside the
            features.
        keys
            One per row.

        Returns
        -------
        Request
            Features validated, context set aside, ids given.

        Raises
        ------
        InvalidInputError
            When a row does not fit the schema, naming its path.
        TooLargeError
            When there are more than 10,000 rows.
        """
        _check_size(len(rows), keys)
        checked = []
        for at, row in enumerate(rows):
            given: dict[str, Any] = row
            if self._aside and isinstance(row, dict):
                given = {name: one for name, one in row.items() if name not in self._aside}
            checked.append(self._validate(given, at))
        named = ids.new_ids(len(rows))
        key = self.document.key
        request = asking.Request(
            [[row[name] for row in checked] for name in self.features],
            named,
            keys=known_by.of_rows(
                named, keys, [row.get(key) for row in rows] if key else None, column=key
            ),
            context=[[frames.plain(row.get(name)) for row in rows] for name in self._context],
        )
        self._look(request)
        return request

    def route(self, request: asking.Request) -> dict[int, list[int]] | int:
        """Deal the rows of a request to the arms.

        Parameters
        ----------
        request
            An admitted request.

        Returns
        -------
        int or dict
            Index of the arm that answers all of it, or indices of rows by arm.
        """
        keys = request.keys
        if request.arm is not None:
            return request.arm
        if len(self.arms) == 1:
            return 0
        if len(keys) == 1 and self._draw is not None:
            drawn = request.drawn = self._draw(keys[0])
            return self._router.dealt(drawn)
        dealt: dict[int, list[int]] = {}
        chosen, ruled = self._router.deal(keys, request.columns, request.context)
        if any(ruled):
            request.ruled = ruled
        for at, arm in enumerate(chosen):
            dealt.setdefault(arm, []).append(at)
        return next(iter(dealt)) if len(dealt) == 1 else dealt

    def ask_for(self, request: asking.Request, version: str, *, token: str | None) -> None:
        """Let a caller say which version answers, where it may.

        Parameters
        ----------
        request
            An admitted request.
        version
            Such as ``4``, ``3+4``, or the name of an arm.
        token
            What the caller showed, if anything.

        Raises
        ------
        NotFoundError
            When no arm of the plan is called so.
        NotAllowedError
            When the plan does not let this caller choose, and does not choose so by itself.
        """
        name = self.document.deployment
        arm = self._router.named(version)
        if arm is None:
            known = ", ".join(one.place.version for one in self.arms)
            raise errors.NotFoundError(
                f"no version {version[:40]!r} of deployment {name!r} answers here",
                hint=f"those that do: {known}",
            )
        if len(self.arms) > 1 and not self._router.may_override(token):
            raise errors.NotAllowedError(
                f"the plan of deployment {name!r} does not let you choose version {version!r}",
                hint="leave the version out, or ask for a plan with an override for you",
            )
        request.arm = arm

    def _look(self, request: asking.Request) -> None:
        """Note categories that training never saw; refuse them where the policy says so."""
        if self._find_unseen is None:
            return
        found = self._find_unseen(request.columns)
        if not found:
            return
        for name in found:
            self._meters.unseen[self.document.deployment, name] += 1
        if self.document.unseen == "refuse":
            name, (value, *_) = next(iter(found.items()))
            at = request.columns[self.features.index(name)].index(value)
            path = f"rows[{at}].{name}"
            raise errors.InvalidInputError(
                f"{path}: training never saw {value[:40]!r}", path=path
            )
        request.unseen = found

    @property
    def is_busy(self) -> bool:
        """Whether anything admitted is not answered or not logged yet."""
        return self.shadows.is_busy or any(arm.lane.is_busy for arm in self.arms)

    async def idle(self) -> None:
        """Wait until everything admitted is answered and logged."""
        for arm in self.arms:
            await arm.lane.idle()
        await self.shadows.idle()


def _check_size(n_rows: int, keys: Sequence[str | None] | None) -> None:
    if n_rows < 1:
        raise errors.InvalidInputError("a prediction needs at least one row; seen none")
    if n_rows > ROWS_AT_MOST:
        raise errors.TooLargeError(
            f"one request scores up to {ROWS_AT_MOST} rows; seen {n_rows}",
            hint="send them in parts",
        )
    if keys is not None and len(keys) != n_rows:
        raise errors.InvalidInputError(f"{n_rows} rows came with {len(keys)} keys")
