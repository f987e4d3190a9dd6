"""Reports that nobody can change afterwards: digest and Ed25519 signature; pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from homeostat.foundation import canonical
from homeostat.lifecycle.evaluation.entities import GateReport

# Says what is signed, so that a signature made for anything else can never pass for a report.
PURPOSE = b"homeostat gate report 1\n"
# Fields that reports of the first release do not have.
LATER = frozenset({"measured_by"})


def digest(report: GateReport) -> str:
    """Return the digest of what a report says.

    Parameters
    ----------
    report
        Its own digest, signature and public key do not count; nor does an empty field that
        came with a later release (`LATER`), so that reports signed before it stay as signed.

    Returns
    -------
    str
        BLAKE3 of the canonical JSON, 64 hexadecimal digits.
    """
    bare = msgspec.structs.replace(report, digest="", signature="", public_key="")
    told = msgspec.structs.asdict(bare)
    said = {name: value for name, value in told.items() if name not in LATER or value}
    return canonical.digest(canonical.encode(said))


def sign(
    report: GateReport, *, signer: Callable[[bytes], bytes], public_key: bytes
) -> GateReport:
    """Return the report with digest and signature.

    Parameters
    ----------
    report
        Complete in everything else.
    signer
        Bytes in, 64 bytes of Ed25519 signature out.
    public_key
        32 bytes that verify it.

    Returns
    -------
    GateReport
        Ready to be stored.
    """
    value = digest(report)
    signature = signer(PURPOSE + bytes.fromhex(value))
    return msgspec.structs.replace(
        report, digest=value, signature=signature.hex(), public_key=public_key.hex()
    )


def flaw(report: GateReport, *, public_key: bytes | None = None) -> str:
    """Return what is wrong with a stored report.

    Parameters
    ----------
    report
        As read.
    public_key
        The key it must have been signed with; the one it names when None.

    Returns
    -------
    str
        Empty when digest and signature hold.
    """
    if digest(report) != report.digest:
        return f"report:{report.id} was changed: its digest does not match"
    if public_key is not None and public_key.hex() != report.public_key:
        return f"report:{report.id} is signed by another key than this installation's"
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(report.public_key))
        key.verify(bytes.fromhex(report.signature), PURPOSE + bytes.fromhex(report.digest))
    except (InvalidSignature, ValueError):
        return f"report:{report.id} carries no valid signature"
    return ""
