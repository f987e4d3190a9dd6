"""Scores of versions and candidates on logged rows, off the request path; called by `live`."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation.house import House
from homeostat.lifecycle.loop import apart
from homeostat.lifecycle.registry import described
from homeostat.lifecycle.registry import format as formats
from homeostat.lifecycle.registry import load as loading
from homeostat.lifecycle.registry.adopted import Loadable
from homeostat.lifecycle.registry.entities import Description
from homeostat.lifecycle.registry.predictor import Predictor

LOADED_AT_MOST = 16
APART_AT_MOST = 3  # each is a process with its libraries

Asked = Predictor | apart.Apart
T = TypeVar("T", Predictor, apart.Apart)


class Scorer:
    """Keeps the last models in memory.

    Parameters
    ----------
    house
        Where their files are. Both lanes of a worker may ask at once.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._loaded: OrderedDict[str, Predictor] = OrderedDict()
        self._apart: OrderedDict[str, apart.Apart] = OrderedDict()
        self._lock = threading.Lock()

    def predictor(self, how: Loadable) -> Asked:
        """Return a model by its files.

        Parameters
        ----------
        how
            Of the version or candidate. One whose code may run is opened in a process of its
            own, never in this one.

        Raises
        ------
        CorruptError
            When stored bytes were changed.
        NotAllowedError
            When it is pickled and not trusted, or holds a type that is not.
        """
        if how.needs_trust and how.is_trusted:
            return self._kept(self._apart, how, APART_AT_MOST, self._opened_apart)
        return self._kept(self._loaded, how, LOADED_AT_MOST, self._opened)

    def scores(self, how: Loadable, rows: pl.DataFrame) -> NDArray[np.float64]:
        """Return probabilities of the positive class.

        Parameters
        ----------
        how
            As for `predictor`.
        rows
            Features as plain columns.

        Returns
        -------
        numpy.ndarray
            Shape ``(n,)``.

        Raises
        ------
        UserCodeError
            When the model raises or answers nonsense.
        """
        return self.predictor(how).scores(rows)

    def described(self, how: Loadable) -> Description:
        """Return what a version says of itself, without opening its model; errors as `read`."""
        return described.read(self._contents(how))

    def close(self) -> None:
        """End the processes of models that are asked apart."""
        with self._lock:
            gone, self._apart = self._apart, OrderedDict()
        for one in gone.values():
            one.close()

    def _kept(
        self,
        held: OrderedDict[str, T],
        how: Loadable,
        most: int,
        make: Callable[[Loadable], T],
    ) -> T:
        with self._lock:
            found = held.get(how.key)
            if found is not None:
                held.move_to_end(how.key)
                return found
        found = make(how)
        with self._lock:
            held[how.key] = found
            gone = [held.popitem(last=False)[1] for _ in range(len(held) - most)]
        for one in gone:
            if isinstance(one, apart.Apart):
                one.close()
        return found

    def _opened(self, how: Loadable) -> Predictor:
        return loading.load(self._contents(how))

    def _opened_apart(self, how: Loadable) -> apart.Apart:
        return apart.Apart(self._contents(how), is_trusted=True)

    def _contents(self, how: Loadable) -> dict[str, bytes]:
        contents = {f.path: self._house.get_blob(how.owner, f.digest) for f in how.files}
        if how.description:
            told = self._house.get_blob(how.described_by, how.description)
            contents[formats.DESCRIPTION] = told
        return contents


def positive(predictor: Asked) -> str:
    """Return the positive class of a model, as text."""
    return positive_of(predictor.description)


def positive_of(description: Description) -> str:
    """Return the positive class of what a version says of itself, as text."""
    return description.classes[description.positive]
