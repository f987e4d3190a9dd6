"""Scores of versions and candidates on logged rows, off the request path; called by `live`."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from homeostat.foundation.house import House
from homeostat.lifecycle.registry import load as loading
from homeostat.lifecycle.registry.entities import File
from homeostat.lifecycle.registry.predictor import Predictor

LOADED_AT_MOST = 16


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
        self._lock = threading.Lock()

    def predictor(self, model: str, files: tuple[File, ...]) -> Predictor:
        """Return a model by its files.

        Parameters
        ----------
        model
            Its name, whose key seals the files.
        files
            Of the version or candidate.

        Raises
        ------
        CorruptError
            When stored bytes were changed.
        NotAllowedError
            When it holds a type that is not trusted.
        """
        which = "+".join(file.digest for file in files)
        with self._lock:
            found = self._loaded.get(which)
            if found is not None:
                self._loaded.move_to_end(which)
                return found
        owner = f"model:{model}"
        contents = {f.path: self._house.get_blob(owner, f.digest) for f in files}
        found = loading.load(contents)
        with self._lock:
            self._loaded[which] = found
            while len(self._loaded) > LOADED_AT_MOST:
                self._loaded.popitem(last=False)
        return found

    def scores(
        self, model: str, files: tuple[File, ...], rows: pl.DataFrame
    ) -> NDArray[np.float64]:
        """Return probabilities of the positive class.

        Parameters
        ----------
        model, files
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
        return self.predictor(model, files).scores(rows)


def positive(predictor: Predictor) -> str:
    """Return the positive class of a model, as text."""
    described = predictor.description
    return described.classes[described.positive]
