"""Public keys as SPKI and private ones as PKCS #8, in DER."""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from runtime.web.crypto.keys import CryptoError, CryptoKey, data_of


def load_der(format: str, data: object, kinds: Any) -> Any:
    """Raises CryptoError unless it is a key of these kinds."""
    try:
        if format == "spki":
            key: Any = serialization.load_der_public_key(data_of(data, "keyData"))
        elif format == "pkcs8":
            key = serialization.load_der_private_key(data_of(data, "keyData"), None)
        else:
            raise CryptoError("NotSupportedError", f'Unrecognized key import format "{format}" for this algorithm.')
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CryptoError("DataError", f"Invalid {format.upper()} input: {error}") from None
    if not isinstance(key, kinds):
        raise CryptoError("DataError", f"Invalid {format.upper()} input: it is a key of another algorithm")
    return key


def dump_der(format: str, key: CryptoKey) -> bytes:
    """Also ``raw``, of a public key that has such a form."""
    der = serialization.Encoding.DER
    if format == "spki" and key.type == "public":
        return bytes(key.key.public_bytes(der, serialization.PublicFormat.SubjectPublicKeyInfo))
    if format == "pkcs8" and key.type == "private":
        plain = serialization.NoEncryption()
        return bytes(key.key.private_bytes(der, serialization.PrivateFormat.PKCS8, plain))
    if format == "raw" and key.type == "public" and hasattr(key.key, "public_bytes_raw"):
        return bytes(key.key.public_bytes_raw())
    raise CryptoError(
        "InvalidAccessError", f'A {key.type} {key.algorithm["name"]} key cannot be exported as "{format}".'
    )


__all__ = ["dump_der", "load_der"]
