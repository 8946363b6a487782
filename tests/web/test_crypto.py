"""crypto.subtle, side by side with Node's: what one signs or encrypts, the other reads."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

import pytest

from runtime.web.crypto.keys import CryptoError, CryptoKey, CryptoKeyPair
from runtime.web.crypto.subtle import subtle

NODE = shutil.which("node")
MESSAGE = b"a message"
RSA = {"modulusLength": 2048, "publicExponent": b"\1\0\1", "hash": "SHA-256"}
SIGNATURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # how a key is made, how it signs
    "RSASSA-PKCS1-v1_5": ({"name": "RSASSA-PKCS1-v1_5", **RSA}, {"name": "RSASSA-PKCS1-v1_5"}),
    "RSA-PSS": ({"name": "RSA-PSS", **RSA}, {"name": "RSA-PSS", "saltLength": 32}),
    "P-256": ({"name": "ECDSA", "namedCurve": "P-256"}, {"name": "ECDSA", "hash": "SHA-256"}),
    "P-384": ({"name": "ECDSA", "namedCurve": "P-384"}, {"name": "ECDSA", "hash": {"name": "SHA-384"}}),
    "P-521": ({"name": "ECDSA", "namedCurve": "P-521"}, {"name": "ECDSA", "hash": "SHA-512"}),
    "Ed25519": ({"name": "Ed25519"}, {"name": "Ed25519"}),
}
CIPHERS: dict[str, dict[str, Any]] = {
    "AES-GCM": {"iv": b"0" * 12, "additionalData": b"more"},
    "AES-GCM, a short tag": {"iv": b"0" * 12, "tagLength": 96},
    "AES-CBC": {"iv": b"1" * 16},
    "AES-CTR": {"counter": b"2" * 16, "length": 64},
}
VERIFY = """
const {key, how, signature, data} = JSON.parse(require('fs').readFileSync(0));
const bytes = text => Buffer.from(text, 'hex');
(async () => {
  const {made, sign} = how;
  const publicKey = await crypto.subtle.importKey('jwk', key.public, made, true, ['verify']);
  const privateKey = await crypto.subtle.importKey('pkcs8', bytes(key.private), made, true, ['sign']);
  const good = await crypto.subtle.verify(sign, publicKey, bytes(signature), bytes(data));
  const theirs = Buffer.from(await crypto.subtle.sign(sign, privateKey, bytes(data))).toString('hex');
  console.log(JSON.stringify({good, theirs}));
})();
"""
DECRYPT = """
const {key, how, sealed} = JSON.parse(require('fs').readFileSync(0));
const bytes = text => Buffer.from(text, 'hex');
for (const name of ['iv', 'counter', 'additionalData']) if (name in how) how[name] = bytes(how[name]);
(async () => {
  const imported = await crypto.subtle.importKey('raw', bytes(key), how.name, true, ['encrypt', 'decrypt']);
  const clear = Buffer.from(await crypto.subtle.decrypt(how, imported, bytes(sealed))).toString('hex');
  console.log(JSON.stringify({clear}));
})();
"""
DERIVE = """
const bytes = text => Buffer.from(text, 'hex');
const {hkdf, pbkdf2, secret, hmac, data} = JSON.parse(require('fs').readFileSync(0));
(async () => {
  const bits = async how => {
    for (const name of ['salt', 'info']) if (name in how) how[name] = bytes(how[name]);
    const key = await crypto.subtle.importKey('raw', bytes(secret), how.name, false, ['deriveBits']);
    return Buffer.from(await crypto.subtle.deriveBits(how, key, 256)).toString('hex');
  };
  const key = await crypto.subtle.importKey('jwk', hmac, {name: 'HMAC', hash: 'SHA-512'}, true, ['sign']);
  const signed = Buffer.from(await crypto.subtle.sign('HMAC', key, bytes(data))).toString('hex');
  console.log(JSON.stringify([await bits(hkdf), await bits(pbkdf2), signed]));
})();
"""
needs_node = pytest.mark.skipif(NODE is None, reason="no Node")


async def node(script: str, given: object) -> Any:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(str(NODE), "-e", script, stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = await process.communicate(json.dumps(given).encode())
    assert process.returncode == 0, err.decode()
    return json.loads(out)


def spelled(algorithm: dict[str, Any]) -> dict[str, Any]:
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in algorithm.items()}


async def pair(algorithm: Any, *usages: str) -> CryptoKeyPair:
    made = await subtle.generateKey(algorithm, True, usages)
    assert isinstance(made, CryptoKeyPair)
    return made


@needs_node
@pytest.mark.parametrize("kind", SIGNATURES)
async def test_signatures_are_nodes_and_ours(kind: str) -> None:
    made, sign = SIGNATURES[kind]
    keys = await pair(made, "sign", "verify")
    signature = await subtle.sign(sign, keys.privateKey, MESSAGE)
    given = {
        "key": {
            "public": await subtle.exportKey("jwk", keys.publicKey),
            "private": (await subtle.exportKey("pkcs8", keys.privateKey)).hex(),
        },
        "how": {"made": {key: value for key, value in made.items() if key != "publicExponent"}, "sign": sign},
        "signature": signature.hex(),
        "data": MESSAGE.hex(),
    }
    answer = await node(VERIFY, given)
    assert answer["good"]
    theirs = bytes.fromhex(answer["theirs"])
    assert await subtle.verify(sign, keys.publicKey, theirs, MESSAGE)
    assert not await subtle.verify(sign, keys.publicKey, theirs, b"another")
    assert not await subtle.verify(sign, keys.publicKey, theirs[:-1], MESSAGE)


@needs_node
@pytest.mark.parametrize("kind", CIPHERS)
async def test_node_opens_what_is_sealed_here(kind: str) -> None:
    how = {"name": kind.partition(",")[0], **CIPHERS[kind]}
    key = await subtle.generateKey({"name": how["name"], "length": 256}, True, ["encrypt", "decrypt"])
    assert isinstance(key, CryptoKey)
    sealed = await subtle.encrypt(how, key, MESSAGE)
    raw = (await subtle.exportKey("raw", key)).hex()
    answer = await node(DECRYPT, {"key": raw, "how": spelled(how), "sealed": sealed.hex()})
    assert bytes.fromhex(answer["clear"]) == await subtle.decrypt(how, key, sealed) == MESSAGE


@needs_node
async def test_what_is_derived_and_hmac_are_nodes() -> None:
    hkdf = {"name": "HKDF", "hash": "SHA-256", "salt": b"salt", "info": b"info"}
    pbkdf2 = {"name": "PBKDF2", "hash": "SHA-1", "salt": b"salt", "iterations": 1000}
    secret, ours = b"secret", []
    for how in (hkdf, pbkdf2):
        key = await subtle.importKey("raw", secret, how["name"], False, ["deriveBits"])
        ours.append((await subtle.deriveBits(how, key, 256)).hex())
    key = await subtle.importKey("raw", b"k" * 40, {"name": "HMAC", "hash": "SHA-512"}, True, ["sign", "verify"])
    ours.append((await subtle.sign("HMAC", key, MESSAGE)).hex())
    jwk = await subtle.exportKey("jwk", key)
    given = {
        "hkdf": spelled(hkdf),
        "pbkdf2": spelled(pbkdf2),
        "secret": secret.hex(),
        "hmac": jwk,
        "data": MESSAGE.hex(),
    }
    jwk["key_ops"] = ["sign"]
    assert await node(DERIVE, given) == ours
    assert await subtle.verify("hmac", key, bytes.fromhex(ours[2]), MESSAGE)


@pytest.mark.parametrize("kind", [*SIGNATURES, "RSA-OAEP", "X25519", "ECDH"])
async def test_keys_survive_every_form(kind: str) -> None:
    others = {
        "RSA-OAEP": ({"name": "RSA-OAEP", **RSA}, ("encrypt", "decrypt")),
        "X25519": ({"name": "X25519"}, ("deriveBits",)),
        "ECDH": ({"name": "ECDH", "namedCurve": "P-256"}, ("deriveBits",)),
    }
    made, usages = others.get(kind) or (SIGNATURES[kind][0], ("sign", "verify"))
    keys = await pair(made, *usages)
    raw = [] if kind.startswith("RSA") else [("raw", keys.publicKey)]
    forms = [("jwk", keys.privateKey), ("pkcs8", keys.privateKey), ("jwk", keys.publicKey), ("spki", keys.publicKey)]
    for form, key in [*forms, *raw]:
        again = await subtle.importKey(form, await subtle.exportKey(form, key), made, True, key.usages)
        assert (again.type, again.usages, again.algorithm) == (key.type, key.usages, key.algorithm)
        assert await subtle.exportKey(form, again) == await subtle.exportKey(form, key)


async def test_two_sides_agree_and_wrap_a_key() -> None:
    for how in ({"name": "ECDH", "namedCurve": "P-384"}, {"name": "X25519"}):
        one, other = [await pair(how, "deriveBits", "deriveKey") for _ in range(2)]
        bits = await subtle.deriveBits({"name": how["name"], "public": one.publicKey}, other.privateKey, 256)
        assert bits == await subtle.deriveBits({"name": how["name"], "public": other.publicKey}, one.privateKey, 256)
    secret = await subtle.deriveKey(
        {"name": "X25519", "public": one.publicKey}, other.privateKey, {"name": "AES-GCM", "length": 256}, True,
        ["encrypt"],
    )  # fmt: skip
    for name, how in (("AES-KW", {}), ("AES-GCM", {"iv": b"0" * 12})):
        wrapping = await subtle.generateKey({"name": name, "length": 256}, True, ["wrapKey", "unwrapKey"])
        assert isinstance(wrapping, CryptoKey)
        algorithm = {"name": name, **how}
        wrapped = await subtle.wrapKey("raw", secret, wrapping, algorithm)
        again = await subtle.unwrapKey("raw", wrapped, wrapping, algorithm, "AES-GCM", True, ["encrypt"])
        assert again.key == secret.key


async def test_digests_and_comparing() -> None:
    assert (await subtle.digest("sha-256", b"")).hex().startswith("e3b0c442")
    assert (await subtle.digest({"name": "MD5"}, memoryview(b"a"))).hex() == "0cc175b9c0f1b6a831c399e269772661"
    assert len(await subtle.digest("SHA-512", bytes(1 << 20))) == 64
    assert subtle.timingSafeEqual(b"ab", bytearray(b"ab"))
    assert not subtle.timingSafeEqual(b"ab", b"ac")
    with pytest.raises(TypeError, match="same byte length"):
        subtle.timingSafeEqual(b"ab", b"abc")


async def test_what_cannot_be_is_said() -> None:
    key = await subtle.importKey("raw", b"0" * 16, "AES-GCM", False, ["encrypt"])
    iv = {"name": "AES-GCM", "iv": b"0" * 12}
    refused: list[tuple[Any, type[Exception], str]] = [
        (subtle.digest("SHA-3", b""), CryptoError, "NotSupportedError: .*SHA-3"),
        (subtle.digest(7, b""), TypeError, "an algorithm is a name"),
        (subtle.digest("SHA-1", "text"), TypeError, "must be bytes"),
        (subtle.sign("HMAC", key, b""), CryptoError, 'InvalidAccessError: .*"HMAC" does not match'),
        (subtle.decrypt(iv, key, b"0" * 32), CryptoError, 'InvalidAccessError: .*usage "decrypt"'),
        (subtle.encrypt(iv, "key", b""), TypeError, "wants a CryptoKey, not str"),
        (subtle.exportKey("raw", key), CryptoError, "InvalidAccessError: .*non-extractable"),
        (subtle.importKey("raw", b"1", "AES-GCM", True, ["encrypt"]), CryptoError, "DataError: .*provided 8"),
        (subtle.importKey("raw", b"1" * 16, "AES-GCM", True, []), CryptoError, "SyntaxError: .*need a usage"),
        (
            subtle.importKey("spki", b"x", {"name": "RSA-PSS", "hash": "SHA-1"}, True, []),
            CryptoError,
            "DataError: .*SPKI",
        ),
        (
            subtle.importKey("jwk", {"kty": "EC"}, {"name": "ECDSA", "namedCurve": "P-256"}, True, []),
            CryptoError,
            "crv",
        ),
        (subtle.generateKey({"name": "ECDSA", "namedCurve": "P-1"}, True, ["sign"]), CryptoError, "EC curve 'P-1'"),
        (subtle.generateKey({"name": "AES-GCM", "length": 128}, True, ["sign"]), CryptoError, "SyntaxError"),
        (subtle.generateKey({"name": "AES-GCM", "length": 100}, True, ["encrypt"]), CryptoError, "requested 100"),
        (subtle.importKey("raw", b"1", "HMAC", True, ["sign"]), TypeError, 'Missing field "hash"'),
        (
            subtle.importKey("raw", b"", {"name": "HMAC", "hash": "SHA-1"}, True, ["sign"]),
            CryptoError,
            "DataError: .*non-zero",
        ),
    ]
    for call, error, text in refused:
        with pytest.raises(error, match=text):
            await call
    open_ = await subtle.importKey("raw", b"0" * 16, "AES-GCM", False, ["encrypt", "decrypt"])
    for length in (0, 7):
        with pytest.raises(CryptoError, match="OperationError: AES-GCM IV must"):
            await subtle.encrypt({"name": "AES-GCM", "iv": b"0" * length}, open_, b"")
    counted = await subtle.importKey("raw", b"0" * 16, "AES-CTR", False, ["encrypt"])
    for counter, bits, text in ((b"0" * 15, 64, "provided 15"), (b"0" * 16, 129, "counter of 129 bits")):
        with pytest.raises(CryptoError, match=f"OperationError: .*{text}"):
            await subtle.encrypt({"name": "AES-CTR", "counter": counter, "length": bits}, counted, b"")
    with pytest.raises(CryptoError, match="OperationError: Decryption failed"):
        await subtle.decrypt(iv, open_, b"0" * 32)


async def test_what_cannot_be_derived() -> None:
    hkdf = {"name": "HKDF", "hash": "SHA-256", "salt": b"", "info": b""}
    pbkdf2 = {"name": "PBKDF2", "hash": "SHA-256", "salt": b"", "iterations": 0}
    for how, bits, text in (
        (hkdf, None, "null length"), (hkdf, 7, "multiple of eight"), (hkdf, 8 * 255 * 32 + 8, "failed"),
        (pbkdf2, 8, "positive iteration count"),
    ):  # fmt: skip
        key = await subtle.importKey("raw", b"secret", how["name"], False, ["deriveBits"])
        assert await subtle.deriveBits({**how, "iterations": 1}, key, 0) == b""
        with pytest.raises(CryptoError, match=f"OperationError: .*{text}"):
            await subtle.deriveBits(how, key, bits)
