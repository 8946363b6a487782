"""A channel over TCP: TLS, and a hello before anything else; on one machine the hello alone.

Who listens makes an ``Identity``: a key, a certificate signed with it, and a token. Certificate and token reach who
dials by another way, which both trust; who dials trusts that one certificate, and says the token and its version
first. Until they are found right nothing is read but those few bytes, for a few seconds; then both ends are
``Channel``s as on a socketpair.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from runtime.wire.channel import Channel
from runtime.wire.frames import LENGTH_BYTES, MALFORMED

NAME = "pilot"  # in every certificate: they differ by their keys
HELLO_BYTES = 4096  # the most that is read of one who is not trusted yet
HELLO_S, DIAL_S = 3.0, 5.0
VALID_DAYS = 3650  # a certificate lives as long as the process that made it


class HelloRefused(ConnectionError):
    """The other end listens, and will not speak to us, or is not who it should be: the text says why."""


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``version``: both ends must have the same. ``name``: of who dials."""

    version: str
    token: str
    name: str = ""


class Answer(msgspec.Struct, frozen=True):
    """``refused``: why not; empty: welcome."""

    version: str
    refused: str = ""


class Identity(NamedTuple):
    """PEM, and the token that who dials must say."""

    certificate: str
    key: str
    token: str

    @classmethod
    def make(cls) -> Identity:
        from datetime import UTC, datetime, timedelta

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.OID_COMMON_NAME, NAME)])
        now, public = datetime.now(UTC), key.public_key()
        builder = x509.CertificateBuilder(name, name, public, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=VALID_DAYS))
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        certificate = builder.sign(key, hashes.SHA256()).public_bytes(pem)
        return cls(certificate.decode(), private.decode(), secrets.token_urlsafe(32))

    def context(self) -> ssl.SSLContext:
        """The key is on the disk for the moment in which OpenSSL reads it, for this user alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "identity.pem")
            path.write_text(self.key + self.certificate)
            context.load_cert_chain(path)
        return context


Serve = Callable[[Hello], Channel]
"""The channel for one who has been let in; it is connected afterwards."""


async def listen(identity: Identity, version: str, serve: Serve, host: str, port: int = 0) -> asyncio.Server:
    """Take connections at ``host``; ``port`` 0: any that is free (``server.sockets[0].getsockname()``)."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: _Doorkeeper(identity.token, version, serve), host, port, ssl=identity.context(),
        ssl_handshake_timeout=HELLO_S,
    )  # fmt: skip


async def listen_here(token: str, version: str, serve: Serve) -> str:
    """The same for processes on this machine, without TLS. The address is a name that no file has and that goes with
    this process (Linux: unix(7), abstract): whoever dials it must say the token as well."""
    address = f"\0pilot-{secrets.token_hex(16)}"
    sock = socket.socket(socket.AF_UNIX)  # made here: libuv takes the name for one of a file
    sock.bind(address)
    await asyncio.get_running_loop().create_unix_server(lambda: _Doorkeeper(token, version, serve), sock=sock)
    return address


async def dial_here(address: str, hello: Hello, channel: Callable[[], Channel]) -> Channel:
    """What ``listen_here`` has said. Raises as ``dial``."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(DIAL_S):
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        _, guest = await loop.create_unix_connection(lambda: _Guest(hello, channel), sock=sock)
        return await guest.welcomed


async def dial(host: str, port: int, certificate: str, hello: Hello, channel: Callable[[], Channel]) -> Channel:
    """The channel, connected. Raises HelloRefused; OSError and TimeoutError where nothing answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=certificate)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(DIAL_S):
        try:
            _, guest = await loop.create_connection(
                lambda: _Guest(hello, channel), host, port, ssl=context, server_hostname=NAME
            )
        except ssl.SSLError as error:
            raise HelloRefused(f"{host}:{port} is not who it should be: {error.reason or error}") from None
        return await guest.welcomed


class _Greeting(asyncio.Protocol):
    """Reads one message of at most ``HELLO_BYTES``; what follows it is the channel's."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._read += data
        if len(self._read) < LENGTH_BYTES:
            return
        end = LENGTH_BYTES + int.from_bytes(self._read[:LENGTH_BYTES], "little")
        if end > HELLO_BYTES:
            return self._transport.abort()
        if len(self._read) < end:
            return
        try:
            self.heard(bytes(self._read[LENGTH_BYTES:end]), bytes(self._read[end:]))
        except MALFORMED:
            self._transport.abort()

    def heard(self, message: bytes, rest: bytes) -> None:
        raise NotImplementedError

    def say(self, message: msgspec.Struct) -> None:
        body = msgspec.msgpack.encode(message)
        self._transport.write(len(body).to_bytes(LENGTH_BYTES, "little") + body)

    def become(self, channel: Channel, rest: bytes) -> None:
        """From here on the connection is the channel's."""
        self._transport.set_protocol(channel)
        channel.connection_made(self._transport)
        if rest:
            channel.data_received(rest)


class _Doorkeeper(_Greeting):
    """At the end that listens."""

    def __init__(self, token: str, version: str, serve: Serve) -> None:
        super().__init__()
        self._token, self._version, self._serve = token, version, serve

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._patience = asyncio.get_running_loop().call_later(HELLO_S, self._transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._patience.cancel()

    def heard(self, message: bytes, rest: bytes) -> None:
        self._patience.cancel()
        hello = msgspec.msgpack.decode(message, type=Hello)
        if not hmac.compare_digest(hello.token.encode(), self._token.encode()):
            return self._refuse("the token is wrong")
        if hello.version != self._version:
            return self._refuse(f"here is version {self._version}, there {hello.version}: they must be the same")
        self.say(Answer(self._version))
        self.become(self._serve(hello), rest)

    def _refuse(self, why: str) -> None:
        self.say(Answer(self._version, why))
        self._transport.close()


class _Guest(_Greeting):
    """At the end that dials."""

    def __init__(self, hello: Hello, channel: Callable[[], Channel]) -> None:
        super().__init__()
        self._hello, self._channel = hello, channel
        self.welcomed: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.say(self._hello)

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self.welcomed.done():
            self.welcomed.set_exception(HelloRefused("it closed the connection instead of an answer"))

    def heard(self, message: bytes, rest: bytes) -> None:
        answer = msgspec.msgpack.decode(message, type=Answer)
        if self.welcomed.done():
            return self._transport.abort()
        if answer.refused:
            self.welcomed.set_exception(HelloRefused(answer.refused))
            return self._transport.close()
        channel = self._channel()
        self.become(channel, rest)
        self.welcomed.set_result(channel)


__all__ = ["Hello", "HelloRefused", "Identity", "dial", "dial_here", "listen", "listen_here"]
