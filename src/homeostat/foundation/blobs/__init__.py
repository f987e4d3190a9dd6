"""Sealed, content-addressed bytes in a folder or a bucket; every subject keeps files here."""

from __future__ import annotations

from homeostat.foundation.blobs.entities import Blob, DataKey, digest_of
from homeostat.foundation.blobs.intake import Intake
from homeostat.foundation.blobs.master import MasterKey
from homeostat.foundation.blobs.store import Store, open_store

__all__ = ["Blob", "DataKey", "Intake", "MasterKey", "Store", "digest_of", "open_store"]
