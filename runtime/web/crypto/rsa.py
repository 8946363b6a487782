"""RSA: signatures (PKCS #1 v1.5 and PSS) and encryption (OAEP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicKey,
    RSAPublicNumbers,
    generate_private_key,
)

from runtime.web.crypto.keys import (
    CryptoError,
    CryptoKey,
    CryptoKeyPair,
    b64,
    data_of,
    hash_of,
    pair_of,
    unbound,
    usages_of,
)
from runtime.web.crypto.pem import dump_der, load_der

_SIGNING: dict[str, tuple[str, ...]] = {"private": ("sign",), "public": ("verify",)}
USAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "RSASSA-PKCS1-v1_5": _SIGNING,
    "RSA-PSS": _SIGNING,
    "RSA-OAEP": {"private": ("decrypt", "unwrapKey"), "public": ("encrypt", "wrapKey")},
}
_BITS = (256, 16384)  # the least and the most of a modulus that is generated
_JWK = {"RSASSA-PKCS1-v1_5": "RS{}", "RSA-PSS": "PS{}", "RSA-OAEP": "RSA-OAEP-{}"}
_PRIVATE_PARTS = ("d", "p", "q", "dp", "dq", "qi")


def generate(algorithm: Mapping[str, Any], extractable: bool, usages: Sequence[str]) -> CryptoKeyPair:
    bits, exponent = int(algorithm.get("modulusLength") or 0), int.from_bytes(bytes(algorithm["publicExponent"]), "big")
    if bits % 8 or not _BITS[0] <= bits <= _BITS[1]:
        raise CryptoError("OperationError", f"The modulus length must be a multiple of 8, from 256 to 16384: {bits}.")
    private = generate_private_key(exponent, bits)
    allowed = USAGES[algorithm["name"]]
    return pair_of(private, allowed, usages, extractable, lambda key, *rest: _key(key, algorithm, *rest))


def load(
    format: str, data: object, algorithm: Mapping[str, Any], extractable: bool, usages: Sequence[str]
) -> CryptoKey:
    made = _from_jwk(data) if format == "jwk" else load_der(format, data, RSAPublicKey | RSAPrivateKey)
    return _key(made, algorithm, extractable, usages)


def dump(format: str, key: CryptoKey) -> bytes | dict[str, Any]:
    if format != "jwk":
        return dump_der(format, key)
    private = key.key.private_numbers() if key.type == "private" else None
    public = private.public_numbers if private else key.key.public_numbers()
    digits = {"n": public.n, "e": public.e}
    if private:
        digits |= {
            "d": private.d,
            "p": private.p,
            "q": private.q,
            "dp": private.dmp1,
            "dq": private.dmq1,
            "qi": private.iqmp,
        }
    name = _JWK[key.algorithm["name"]].format(key.algorithm["hash"]["name"].removeprefix("SHA-"))
    name = "RSA-OAEP" if name == "RSA-OAEP-1" else name
    parts = {part: b64(value.to_bytes(-(-value.bit_length() // 8), "big")) for part, value in digits.items()}
    return {"kty": "RSA", **parts, "alg": name, "key_ops": list(key.usages), "ext": key.extractable}


def sign(algorithm: Mapping[str, Any], key: CryptoKey, data: bytes) -> bytes:
    digest = hash_of(key.algorithm)[1]
    return bytes(key.key.sign(data, _padding(algorithm, key), digest))


def verify(algorithm: Mapping[str, Any], key: CryptoKey, signature: bytes, data: bytes) -> bool:
    try:
        key.key.verify(signature, data, _padding(algorithm, key), hash_of(key.algorithm)[1])
    except InvalidSignature:
        return False
    return True


def encrypt(algorithm: Mapping[str, Any], key: CryptoKey, data: bytes) -> bytes:
    try:
        return bytes(key.key.encrypt(data, _oaep(algorithm, key)))
    except ValueError as error:
        raise CryptoError("OperationError", str(error)) from None


def decrypt(algorithm: Mapping[str, Any], key: CryptoKey, data: bytes) -> bytes:
    try:
        return bytes(key.key.decrypt(data, _oaep(algorithm, key)))
    except ValueError:
        raise CryptoError("OperationError", "Decryption failed.") from None


def _key(made: Any, algorithm: Mapping[str, Any], extractable: bool, usages: Sequence[str]) -> CryptoKey:
    kind = "private" if isinstance(made, RSAPrivateKey) else "public"
    public = made.public_key() if isinstance(made, RSAPrivateKey) else made
    exponent = public.public_numbers().e
    facts = {
        "name": algorithm["name"],
        "modulusLength": made.key_size,
        "publicExponent": exponent.to_bytes(-(-exponent.bit_length() // 8), "big"),
        "hash": {"name": hash_of(algorithm)[0]},
    }
    return CryptoKey(kind, extractable, facts, usages_of(usages, USAGES[algorithm["name"]][kind]), made)


def _from_jwk(jwk: object) -> RSAPublicKey | RSAPrivateKey:
    if not isinstance(jwk, Mapping) or jwk.get("kty") != "RSA":
        raise CryptoError("DataError", 'the JSON Web Key is not one of kty "RSA"')
    try:
        public = RSAPublicNumbers(unbound(jwk, "e"), unbound(jwk, "n"))
        if "d" not in jwk:
            return public.public_key()
        d, p, q, dp, dq, qi = (unbound(jwk, part) for part in _PRIVATE_PARTS)
        return RSAPrivateNumbers(p, q, d, dp, dq, qi, public).private_key()
    except ValueError as error:
        raise CryptoError("DataError", f"the JSON Web Key is no RSA key: {error}") from None


def _padding(algorithm: Mapping[str, Any], key: CryptoKey) -> padding.AsymmetricPadding:
    if key.algorithm["name"] != "RSA-PSS":
        return padding.PKCS1v15()
    digest = hash_of(key.algorithm)[1]
    return padding.PSS(padding.MGF1(digest), int(algorithm.get("saltLength") or 0))


def _oaep(algorithm: Mapping[str, Any], key: CryptoKey) -> padding.OAEP:
    digest, label = hash_of(key.algorithm)[1], algorithm.get("label")
    return padding.OAEP(padding.MGF1(digest), digest, data_of(label, "label") if label is not None else None)


__all__ = ["USAGES", "decrypt", "dump", "encrypt", "generate", "load", "sign", "verify"]
