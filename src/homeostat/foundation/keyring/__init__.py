"""Access keys: who may come in where sign-in is configured, and as whom."""

from homeostat.foundation.keyring.actions import create, ensure, get, newest, revoke
from homeostat.foundation.keyring.entities import AccessKey, NewKey
from homeostat.foundation.keyring.lookup import Keyring

__all__ = ["AccessKey", "Keyring", "NewKey", "create", "ensure", "get", "newest", "revoke"]
