"""The answer to a whole request, put together from what its arms said; made by `engine`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from homeostat.foundation import errors
from homeostat.lifecycle.serving import answering, asking, composite, served


class Prediction(NamedTuple):
    """What is answered; lists run over the rows of the request.

    `chances` has of several classes a probability for each of `classes`; None otherwise.
    """

    ids: list[str]
    keys: list[str]
    scores: list[float]
    answers: list[Any]
    versions: list[str]
    arms: list[str]
    generation: int
    unseen: dict[str, list[str]] | None = None
    chances: list[list[float]] | None = None
    classes: tuple[str, ...] = ()


class Parts:
    """The answer of a request whose rows were dealt to several arms.

    Parameters
    ----------
    now
        What answers.
    request
        Admitted by it.
    dealt
        Indices of rows by arm.
    done
        Gets the whole answer, or the first error.
    """

    def __init__(
        self,
        now: served.Served,
        request: asking.Request,
        dealt: dict[int, list[int]],
        done: Callable[[Prediction | BaseException], None],
    ) -> None:
        self._now = now
        self._request = request
        self._dealt = dealt
        self._done = done
        self._missing = len(dealt)
        self._found: dict[int, answering.Answer] = {}
        self._error: BaseException | None = None

    def put(self, arm: int, answer: answering.Answer | BaseException) -> None:
        """Take the part of an arm; the last one completes the answer."""
        self._missing -= 1
        if isinstance(answer, BaseException):
            self._error = self._error or answer
        else:
            self._found[arm] = answer
        if not self._missing:
            self._done(self._error or self._assembled())
            if self._error is None:
                self._now.shadows.offer(self._request)

    def _assembled(self) -> Prediction:
        request = self._request
        n = request.n_rows
        scores, answers = [0.0] * n, [None] * n
        versions, arms = [""] * n, [""] * n
        for arm, answer in self._found.items():
            places = zip(self._dealt[arm], answer.scores, answer.answers, strict=True)
            for at, score, said in places:
                scores[at], answers[at] = score, said
                versions[at], arms[at] = answer.version, answer.arm
        found = _prediction(self._now, request, scores, answers, versions, arms)
        if not self._now.several:
            return found
        chances: list[list[float]] = [[]] * n
        for arm, answer in self._found.items():
            for at, said in zip(self._dealt[arm], answer.chances or (), strict=True):
                chances[at] = said
        return found._replace(chances=chances, classes=self._now.several)


def _prediction(now: served.Served, request: asking.Request, *answered: Any) -> Prediction:
    scores, answers, versions, arms = answered
    named, generation = (request.ids, request.keys), now.document.plan.generation
    return Prediction(*named, scores, answers, versions, arms, generation, request.unseen)


def whole(
    now: served.Served,
    request: asking.Request,
    done: Callable[[Prediction | BaseException], None],
    answer: answering.Answer | BaseException,
) -> None:
    """Complete the answer of a request that one arm answered.

    Parameters
    ----------
    now
        What answered.
    request
        Admitted by it.
    done
        Gets the answer or the error.
    answer
        Of the arm.
    """
    if isinstance(answer, BaseException):
        done(answer)
        return
    n = request.n_rows
    versions, arms = [answer.version] * n, [answer.arm] * n
    found = _prediction(now, request, answer.scores, answer.answers, versions, arms)
    if answer.chances is not None:
        found = found._replace(chances=answer.chances, classes=now.several)
    done(found)
    if now.shadows.is_watching:
        now.shadows.offer(request)


def refused(name: str, faults: Mapping[int, composite.Fault]) -> errors.UserCodeError:
    """Return the error of a request with rows that nobody could score.

    Parameters
    ----------
    name
        The deployment.
    faults
        By row.
    """
    first = min(faults)
    which = ", ".join(f"rows[{at}]" for at in sorted(faults)[:5])
    more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""  # noqa: PLR2004
    return errors.UserCodeError(
        f"the model of deployment {name!r} failed on {which}{more}: {faults[first].sentence}",
        hint="no other request is affected; see the version's run, or roll the plan back",
        deployment=name,
        version=faults[first].version,
        kind=faults[first].kind,
    )


def tell(
    waiter: asyncio.Future[Prediction | BaseException], told: Prediction | BaseException
) -> None:
    """Let the one who waits have the answer.

    Parameters
    ----------
    waiter
        Of the caller.
    told
        The answer or the error.
    """
    if not waiter.done():  # its caller went away
        waiter.set_result(told)
