"""Reports that nobody can change afterwards: digest and Ed25519 signature; pure.

Called for reports of the gates and of envelopes: frozen structs that have, besides what they
say, `id`, and the texts `digest`, `signature` and `public_key`, which are empty before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from homeostat.foundation import canonical
from homeostat.foundation.events import signing


class Kind(NamedTuple):
    """One kind of report.

    Parameters
    ----------
    purpose
        Is signed with every digest, so that a signature made for anything else can never pass
        for such a report.
    word
        Names one, before its id.
    later
        Fields that came with a later release; left out of the digest where they are empty, so
        that reports signed before stay as signed.
    """

    purpose: bytes
    word: str
    later: frozenset[str] = frozenset()


ReportT = TypeVar("ReportT", bound=msgspec.Struct)


def digest(report: msgspec.Struct, kind: Kind) -> str:
    """Return the digest of what a report says.

    Parameters
    ----------
    report
        Its own digest, signature and public key do not count.
    kind
        What it is.

    Returns
    -------
    str
        BLAKE3 of the canonical JSON, 64 hexadecimal digits.
    """
    told = {**msgspec.structs.asdict(report), "digest": "", "signature": "", "public_key": ""}
    said = {name: value for name, value in told.items() if name not in kind.later or value}
    return canonical.digest(canonical.encode(said))


def seal(
    report: ReportT, kind: Kind, *, signer: Callable[[bytes], bytes], public_key: bytes
) -> ReportT:
    """Return the report with digest and signature.

    Parameters
    ----------
    report
        Complete in everything else.
    kind
        What it is.
    signer
        Bytes in, 64 bytes of Ed25519 signature out.
    public_key
        32 bytes that verify it.

    Returns
    -------
    Report
        Ready to be stored.
    """
    value = digest(report, kind)
    signature = signer(kind.purpose + bytes.fromhex(value))
    return msgspec.structs.replace(
        report, digest=value, signature=signature.hex(), public_key=public_key.hex()
    )


def flaw(report: msgspec.Struct, kind: Kind, *, public_key: bytes | None = None) -> str:
    """Return what is wrong with a stored report.

    Parameters
    ----------
    report
        As read.
    kind
        What it is.
    public_key
        The key it must have been signed with; the one it names when None.

    Returns
    -------
    str
        Empty when digest and signature hold.
    """
    told = msgspec.structs.asdict(report)
    name = f"{kind.word}:{told['id']}"
    if digest(report, kind) != told["digest"]:
        return f"{name} was changed: its digest does not match"
    if public_key is not None and public_key.hex() != told["public_key"]:
        return f"{name} is signed by another key than this installation's"
    try:
        signature, key = bytes.fromhex(told["signature"]), bytes.fromhex(told["public_key"])
    except ValueError:
        signature, key = b"", b""
    said = kind.purpose + bytes.fromhex(told["digest"])
    if not signing.is_signed(said, signature=signature, public_key=key):
        return f"{name} carries no valid signature"
    return ""
