"""Signatures beside a report: ed25519 over its bytes, in a file of their own, so that the report stays as it was."""

import base64
import binascii
import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from validation.record import Record
from validation.usage import UsageError

#: First line of a signature file, and what is signed before the digest: no signature made for another purpose fits.
_HEADER: Final = "moe-validation report signature 1"
#: A key file holds 120 bytes, a signature file 200.
_MOST_BYTES: Final = 16 << 10


class SignatureState(StrEnum):
    """`valid`: it fits the report, and is by the key that was asked for if one was."""

    VALID = "valid"
    WRONG_KEY = "wrong_key"
    ALTERED = "altered"
    MISSING = "missing"
    MALFORMED = "malformed"


class SignatureCheck(Record):
    """What is known of who signed: `key` is the fingerprint, SHA256:... as ssh-keygen prints it."""

    state: SignatureState
    key: str | None = None
    message: str


def signature_path(report: Path) -> Path:
    """Returns where the signature of a report stands: beside it."""
    return report.with_name(f"{report.name}.sig")


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Returns the key of a PEM file.

    Raises:
        UsageError: the file is unreadable, protected by a password, or no ed25519 private key.
    """
    try:
        key = load_pem_private_key(_read(path, "private"), password=None)
    except TypeError:
        raise UsageError(
            f"{path} must be a private key without a password. Write one that has none: openssl pkey -in {path.name} "
            "-out plain.key"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"{path} must be an ed25519 private key in PEM form; it is not. Make one: openssl genpkey -algorithm "
            "ed25519 -out reviewer.key"
        )
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Returns the key of a PEM file.

    Raises:
        UsageError: the file is unreadable or no ed25519 public key.
    """
    try:
        key = load_pem_public_key(_read(path, "public"))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            f"{path} must be an ed25519 public key in PEM form; it is not. Whoever signed makes it with: openssl pkey "
            "-in reviewer.key -pubout -out reviewer.pub"
        )
    return key


def sign(report: bytes, key: Ed25519PrivateKey) -> bytes:
    """Returns the text of a signature file: header, public key and signature, each on a line."""
    public = key.public_key().public_bytes_raw()
    return "\n".join(
        (_HEADER, base64.b64encode(public).decode(), base64.b64encode(key.sign(_signed(report))).decode(), "")
    ).encode()


def check_signature(report: bytes, beside: Path, trusted: Ed25519PublicKey | None) -> SignatureCheck | None:
    """Returns who signed a report, by the signature file `beside` it.

    Args:
        report: the bytes of the report.
        beside: where its signature is looked for.
        trusted: the key that must have signed; None takes any and says which.

    Returns:
        The finding; None when there is no signature and none was asked for.
    """
    try:
        data = beside.read_bytes()[: _MOST_BYTES + 1]
    except OSError:
        if trusted is None:
            return None
        return SignatureCheck(
            state=SignatureState.MISSING,
            message=f"one by {fingerprint(trusted)} was asked for, and there is no {beside.name} beside the report",
        )
    found = _parse(data)
    if found is None:
        return SignatureCheck(
            state=SignatureState.MALFORMED, message=f"{beside.name} is no signature of moe-validation's form"
        )
    key, signature = found
    name = fingerprint(key)
    try:
        key.verify(signature, _signed(report))
    except InvalidSignature:
        return SignatureCheck(
            state=SignatureState.ALTERED,
            key=name,
            message=f"{beside.name} does not fit: the report is not the one that {name} signed, or was altered since",
        )
    if trusted is not None and fingerprint(trusted) != name:
        return SignatureCheck(
            state=SignatureState.WRONG_KEY,
            key=name,
            message=f"the report was signed by {name}, and not by {fingerprint(trusted)}, which was asked for",
        )
    asked = "the key that was asked for" if trusted else "name the key you trust with --key to know whose that is"
    return SignatureCheck(state=SignatureState.VALID, key=name, message=f"signed by {name}, {asked}")


def fingerprint(key: Ed25519PublicKey) -> str:
    """Returns SHA256:... over the key in SSH's wire form: what ssh-keygen -l prints for the same key."""
    name, raw = b"ssh-ed25519", key.public_bytes_raw()
    wire = len(name).to_bytes(4, "big") + name + len(raw).to_bytes(4, "big") + raw
    return f"SHA256:{base64.b64encode(hashlib.sha256(wire).digest()).decode().rstrip('=')}"


def _signed(report: bytes) -> bytes:
    return f"{_HEADER}\n{hashlib.sha256(report).hexdigest()}\n".encode()


def _parse(data: bytes) -> tuple[Ed25519PublicKey, bytes] | None:
    lines = data.decode("ascii", "replace").splitlines()
    if len(data) > _MOST_BYTES or len(lines) != 3 or lines[0] != _HEADER:  # noqa: PLR2004 - header, key, signature
        return None
    try:
        key, signature = (base64.b64decode(line, validate=True) for line in lines[1:])
        return Ed25519PublicKey.from_public_bytes(key), signature
    except (binascii.Error, ValueError):
        return None


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()[:_MOST_BYTES]
    except OSError as error:
        raise UsageError(
            f"{path} must be a readable {what} key; {error.strerror}. Give the path of a PEM file."
        ) from None
