"""Elliptic curves: ECDSA and ECDH over NIST's, Ed25519 and X25519."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from runtime.web.crypto.keys import (
    CryptoError,
    CryptoKey,
    CryptoKeyPair,
    b64,
    data_of,
    hash_of,
    pair_of,
    unb64,
    usages_of,
)
from runtime.web.crypto.pem import dump_der, load_der

_DERIVING: dict[str, tuple[str, ...]] = {"private": ("deriveKey", "deriveBits"), "public": ()}
_SIGNING = {"private": ("sign",), "public": ("verify",)}
USAGES: dict[str, Mapping[str, tuple[str, ...]]] = {
    "ECDSA": _SIGNING, "Ed25519": _SIGNING, "ECDH": _DERIVING, "X25519": _DERIVING,
}  # fmt: skip
_CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
_NAMES = {curve.name: name for name, curve in _CURVES.items()}
_EDWARDS: dict[str, tuple[Any, Any]] = {
    "Ed25519": (Ed25519PublicKey, Ed25519PrivateKey), "X25519": (X25519PublicKey, X25519PrivateKey),
}  # fmt: skip
_PRIVATE = ec.EllipticCurvePrivateKey | Ed25519PrivateKey | X25519PrivateKey


def generate(algorithm: Mapping[str, Any], extractable: bool, usages: Sequence[str]) -> CryptoKeyPair:
    name = algorithm["name"]
    private = _EDWARDS[name][1].generate() if name in _EDWARDS else ec.generate_private_key(_curve(algorithm))
    return pair_of(private, USAGES[name], usages, extractable, lambda key, *rest: _key(key, algorithm, *rest))


def load(
    format: str, data: object, algorithm: Mapping[str, Any], extractable: bool, usages: Sequence[str]
) -> CryptoKey:
    edwards = _EDWARDS.get(algorithm["name"])
    try:
        if format == "jwk":
            made = _from_jwk(data, algorithm)
        elif format == "raw" and edwards:
            made = edwards[0].from_public_bytes(data_of(data, "keyData"))
        elif format == "raw":
            made = ec.EllipticCurvePublicKey.from_encoded_point(_curve(algorithm), data_of(data, "keyData"))
        else:
            kinds = edwards[0] | edwards[1] if edwards else ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey
            made = load_der(format, data, kinds)
    except ValueError as error:
        raise CryptoError("DataError", f"this is no {algorithm['name']} key: {error}") from None
    return _key(made, algorithm, extractable, usages)


def dump(format: str, key: CryptoKey) -> bytes | dict[str, Any]:
    if format == "jwk":
        return _to_jwk(key)
    if format == "raw" and key.type == "public" and key.algorithm["name"] not in _EDWARDS:
        point = serialization.PublicFormat.UncompressedPoint
        return bytes(key.key.public_bytes(serialization.Encoding.X962, point))
    return dump_der(format, key)


def sign(algorithm: Mapping[str, Any], key: CryptoKey, data: bytes) -> bytes:
    """ECDSA: r and s side by side, as the API has them."""
    if key.algorithm["name"] == "Ed25519":
        return bytes(key.key.sign(data))
    r, s = decode_dss_signature(key.key.sign(data, ec.ECDSA(hash_of(algorithm)[1])))
    size = _size(key.key)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def verify(algorithm: Mapping[str, Any], key: CryptoKey, signature: bytes, data: bytes) -> bool:
    try:
        if key.algorithm["name"] == "Ed25519":
            key.key.verify(signature, data)
            return True
        size = _size(key.key)
        if len(signature) != 2 * size:
            return False
        r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
        key.key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hash_of(algorithm)[1]))
    except InvalidSignature:
        return False
    return True


def derive(algorithm: Mapping[str, Any], key: CryptoKey, bits: int | None) -> bytes:
    """None: all of what the two share."""
    public = algorithm.get("public")
    if not isinstance(public, CryptoKey) or public.type != "public":
        raise TypeError("the algorithm's `public` must be the other side's public key")
    other = public.algorithm
    if (other["name"], other.get("namedCurve")) != (key.algorithm["name"], key.algorithm.get("namedCurve")):
        raise CryptoError("InvalidAccessError", "the two keys are not of one algorithm and one curve")
    edwards = key.algorithm["name"] in _EDWARDS
    shared: bytes = key.key.exchange(public.key) if edwards else key.key.exchange(ec.ECDH(), public.key)
    if bits is not None and bits > len(shared) * 8:
        raise CryptoError(
            "OperationError", f"Derived key length ({bits}) is too long (should be at most {len(shared) * 8})."
        )
    return shared if bits is None else shared[: bits // 8]


def _key(made: Any, algorithm: Mapping[str, Any], extractable: bool, usages: Sequence[str]) -> CryptoKey:
    kind, name = "private" if isinstance(made, _PRIVATE) else "public", algorithm["name"]
    facts = {"name": name}
    if name not in _EDWARDS:
        facts["namedCurve"] = _NAMES.get(made.curve.name, made.curve.name)
        if facts["namedCurve"] != algorithm.get("namedCurve"):
            raise CryptoError("DataError", f"the key is of another curve: {facts['namedCurve']}")
    return CryptoKey(kind, extractable, facts, usages_of(usages, USAGES[name][kind]), made)


def _from_jwk(jwk: object, algorithm: Mapping[str, Any]) -> Any:
    edwards, name = _EDWARDS.get(algorithm["name"]), algorithm["name"]
    kty = "OKP" if edwards else "EC"
    curve = name if edwards else algorithm.get("namedCurve")
    if not isinstance(jwk, Mapping) or jwk.get("kty") != kty or jwk.get("crv") != curve:
        raise CryptoError("DataError", f'the JSON Web Key is not one of kty "{kty}" and crv "{curve}"')
    if edwards:
        secret = jwk.get("d") is not None
        return (
            edwards[1].from_private_bytes(unb64(jwk, "d")) if secret else edwards[0].from_public_bytes(unb64(jwk, "x"))
        )
    x, y = (int.from_bytes(unb64(jwk, part), "big") for part in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, _curve(algorithm))
    if "d" not in jwk:
        return public.public_key()
    return ec.EllipticCurvePrivateNumbers(int.from_bytes(unb64(jwk, "d"), "big"), public).private_key()


def _to_jwk(key: CryptoKey) -> dict[str, Any]:
    name, public = key.algorithm["name"], key.key.public_key() if key.type == "private" else key.key
    rest = {"key_ops": list(key.usages), "ext": key.extractable}
    if name in _EDWARDS:
        secret = {"d": b64(key.key.private_bytes_raw())} if key.type == "private" else {}
        return {"kty": "OKP", "crv": name, "x": b64(public.public_bytes_raw()), **secret, **rest}
    size, point = _size(public), public.public_numbers()
    parts = {"x": point.x, "y": point.y}
    if key.type == "private":
        parts["d"] = key.key.private_numbers().private_value
    encoded = {part: b64(value.to_bytes(size, "big")) for part, value in parts.items()}
    return {"kty": "EC", "crv": key.algorithm["namedCurve"], **encoded, **rest}


def _curve(algorithm: Mapping[str, Any]) -> ec.EllipticCurve:
    name = algorithm.get("namedCurve")
    if name not in _CURVES:
        raise CryptoError("NotSupportedError", f"Unrecognized or unimplemented EC curve {name!r:.40} requested.")
    return _CURVES[name]()


def _size(key: Any) -> int:
    """Bytes of one coordinate."""
    return -(-int(key.curve.key_size) // 8)


__all__ = ["USAGES", "derive", "dump", "generate", "load", "sign", "verify"]
