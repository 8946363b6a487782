"""Algorithms with a secret key: HMAC, AES in its modes, and HKDF and PBKDF2, which derive."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import keywrap, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from runtime.web.crypto.keys import CryptoError, CryptoKey, b64, data_of, hash_of, unb64, usages_of

_BLOCK_BITS = 128
_AES_BITS = (128, 192, 256)
_TAG_BITS = (32, 64, 96, 104, 112, 120, 128)
_NOT_DECRYPTED = (
    "Decryption failed. This could be due to a ciphertext authentication failure, bad padding, incorrect CryptoKey, "
    "or another algorithm-specific reason."
)
_MAX_ITERATIONS = 100_000  # of PBKDF2, as on Workers
_IV_BYTES = range(8, 129)  # of AES-GCM, in OpenSSL's binding
_MAX_HKDF_BLOCKS = 255  # RFC 5869, 2.3
_AES = ("encrypt", "decrypt", "wrapKey", "unwrapKey")
USAGES = {
    "HMAC": ("sign", "verify"),
    "AES-GCM": _AES, "AES-CBC": _AES, "AES-CTR": _AES,
    "AES-KW": ("wrapKey", "unwrapKey"),
    "HKDF": ("deriveKey", "deriveBits"), "PBKDF2": ("deriveKey", "deriveBits"),
}  # fmt: skip


def generate(algorithm: Mapping[str, Any], extractable: bool, usages: Sequence[str]) -> CryptoKey:
    name = algorithm["name"]
    if name == "HMAC":
        _, digest = hash_of(algorithm)
        bits = algorithm.get("length") or {20: 512, 32: 512}.get(digest.digest_size, 1024)
    elif name.startswith("AES"):
        bits = algorithm.get("length")
        if bits not in _AES_BITS:
            what = f"Generated AES key length must be 128, 192, or 256 bits but requested {bits}."
            raise CryptoError("OperationError", what)
    else:
        raise CryptoError("NotSupportedError", f"{name} has no keys that could be generated")
    return _key(os.urandom(-(-int(bits or 0) // 8)), algorithm, extractable, usages)


def load(
    format: str, data: object, algorithm: Mapping[str, Any], extractable: bool, usages: Sequence[str]
) -> CryptoKey:
    if format == "raw":
        return _key(data_of(data, "keyData"), algorithm, extractable, usages)
    if format != "jwk" or algorithm["name"] in ("HKDF", "PBKDF2"):
        raise CryptoError("NotSupportedError", f'{algorithm["name"]} keys cannot be imported as "{format}".')
    if not isinstance(data, Mapping) or data.get("kty") != "oct":
        raise CryptoError("DataError", 'the JSON Web Key is not one of kty "oct"')
    return _key(unb64(data, "k"), algorithm, extractable, usages)


def dump(format: str, key: CryptoKey) -> bytes | dict[str, Any]:
    if format == "raw":
        return bytes(key.key)
    if format != "jwk":
        raise CryptoError("NotSupportedError", f'{key.algorithm["name"]} keys cannot be exported as "{format}".')
    return {"kty": "oct", "k": b64(key.key), "alg": _jwk_name(key), "key_ops": list(key.usages), "ext": True}


def sign(algorithm: Mapping[str, Any], key: CryptoKey, data: bytes) -> bytes:
    return hmac.digest(key.key, data, hash_of(key.algorithm)[0].replace("-", "").lower())


def verify(algorithm: Mapping[str, Any], key: CryptoKey, signature: bytes, data: bytes) -> bool:
    return hmac.compare_digest(sign(algorithm, key, data), signature)


def encrypt(algorithm: Mapping[str, Any], key: CryptoKey, data: bytes) -> bytes:
    if key.algorithm["name"] == "AES-CBC":
        pad = padding.PKCS7(_BLOCK_BITS).padder()
        data = pad.update(data) + pad.finalize()
    mode, tag_bytes = _mode(algorithm, key)
    encryptor: Any = Cipher(algorithms.AES(key.key), mode).encryptor()
    if tag_bytes:
        encryptor.authenticate_additional_data(data_of(algorithm.get("additionalData") or b"", "additionalData"))
        return bytes(encryptor.update(data) + encryptor.finalize() + encryptor.tag[:tag_bytes])
    return bytes(encryptor.update(data) + encryptor.finalize())


def decrypt(algorithm: Mapping[str, Any], key: CryptoKey, data: bytes) -> bytes:
    mode, tag_bytes = _mode(algorithm, key, data)
    try:
        decryptor: Any = Cipher(algorithms.AES(key.key), mode).decryptor()
        if tag_bytes:
            decryptor.authenticate_additional_data(data_of(algorithm.get("additionalData") or b"", "additionalData"))
            data = data[:-tag_bytes]
        clear = decryptor.update(data) + decryptor.finalize()
        if key.algorithm["name"] == "AES-CBC":
            strip = padding.PKCS7(_BLOCK_BITS).unpadder()
            clear = strip.update(clear) + strip.finalize()
    except (InvalidTag, ValueError):
        raise CryptoError("OperationError", _NOT_DECRYPTED) from None
    return bytes(clear)


def wrap(key: CryptoKey, data: bytes) -> bytes:
    return keywrap.aes_key_wrap(key.key, data)


def unwrap(key: CryptoKey, data: bytes) -> bytes:
    try:
        return keywrap.aes_key_unwrap(key.key, data)
    except (keywrap.InvalidUnwrap, ValueError):
        raise CryptoError("OperationError", "the key could not be unwrapped") from None


def derive(algorithm: Mapping[str, Any], key: CryptoKey, bits: int) -> bytes:
    """``bits`` is a multiple of eight."""
    digest, salt = hash_of(algorithm)[1], data_of(algorithm.get("salt"), "salt")
    if key.algorithm["name"] == "HKDF":
        info = data_of(algorithm.get("info"), "info")
        if bits > _MAX_HKDF_BLOCKS * digest.digest_size * 8:
            raise CryptoError("OperationError", "HKDF deriveBits failed.")
        return HKDF(digest, bits // 8, salt, info).derive(key.key) if bits else b""
    iterations = int(algorithm.get("iterations") or 0)
    if iterations < 1:
        what = f"PBKDF2 requires a positive iteration count (requested {iterations})."
        raise CryptoError("OperationError", what)
    if iterations > _MAX_ITERATIONS:
        raise CryptoError("NotSupportedError", f"Pbkdf2 failed: iteration counts above {_MAX_ITERATIONS} are not "
                          f"supported (requested {iterations}).")  # fmt: skip
    return PBKDF2HMAC(digest, bits // 8, salt, iterations).derive(key.key) if bits else b""


def _key(raw: bytes, algorithm: Mapping[str, Any], extractable: bool, usages: Sequence[str]) -> CryptoKey:
    name, facts = algorithm["name"], dict[str, Any]()
    if name == "HMAC":
        if not raw:
            raise CryptoError("DataError", "Imported HMAC key length (0) must be a non-zero value.")
        facts = {"hash": {"name": hash_of(algorithm)[0]}, "length": len(raw) * 8}
    elif name.startswith("AES"):
        if len(raw) * 8 not in _AES_BITS:
            raise CryptoError(
                "DataError", f"Imported AES key length must be 128, 192, or 256 bits but provided {len(raw) * 8}."
            )
        facts = {"length": len(raw) * 8}
    elif extractable:
        raise CryptoError("SyntaxError", f"{name} key cannot be extractable.")
    return CryptoKey("secret", extractable, {"name": name, **facts}, usages_of(usages, USAGES[name]), raw)


def _mode(algorithm: Mapping[str, Any], key: CryptoKey, sealed: bytes | None = None) -> tuple[Any, int]:
    """(mode, bytes of its tag): 0 where it has none. ``sealed`` ends with the tag."""
    name = key.algorithm["name"]
    if name == "AES-CTR":
        counter, bits = data_of(algorithm.get("counter"), "counter"), int(algorithm.get("length") or 0)
        if len(counter) != _BLOCK_BITS // 8:
            raise CryptoError("OperationError", f"Counter must have length of 16 bytes (provided {len(counter)}).")
        if not 1 <= bits <= _BLOCK_BITS:
            raise CryptoError("OperationError", f"Invalid counter of {bits} bits length provided.")
        return modes.CTR(counter), 0
    iv = data_of(algorithm.get("iv"), "iv")
    if name == "AES-CBC":
        if len(iv) != _BLOCK_BITS // 8:
            raise CryptoError("OperationError", f"AES-CBC IV must be 16 bytes long (provided {len(iv)}).")
        return modes.CBC(iv), 0
    if len(iv) not in _IV_BYTES:
        what = f"must be from 8 to 128 bytes long (provided {len(iv)})" if iv else "must not be empty"
        raise CryptoError("OperationError", f"AES-GCM IV {what}.")
    bits = algorithm.get("tagLength") or _BLOCK_BITS
    if bits not in _TAG_BITS:
        raise CryptoError("OperationError", f"Invalid AES-GCM tag length {bits}.")
    if sealed is not None and len(sealed) < bits // 8:
        what = (
            f"Ciphertext length of {len(sealed) * 8} bits must be greater than or equal to the size of the AES-GCM tag"
        )
        raise CryptoError("OperationError", f"{what} length of {bits} bits.")
    tag = None if sealed is None else sealed[-(bits // 8) :]
    return modes.GCM(iv, tag, min_tag_length=bits // 8), bits // 8


def _jwk_name(key: CryptoKey) -> str:
    name = key.algorithm["name"]
    if name == "HMAC":
        return f"HS{key.algorithm['hash']['name'].removeprefix('SHA-')}"
    return f"A{key.algorithm['length']}{name.removeprefix('AES-')}"
