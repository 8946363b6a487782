"""What a worker has brought: checked, and written down where its process reads it. It was sent by user code."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
from msgspec.msgpack import Ext

from bindings.base import CallError, Target
from runtime.values.wire import CAPABILITY

MAX_CODE_BYTES = 32 * 1024 * 1024  # of all modules
MAX_MODULES = 5_000
_MAX_NAME_BYTES, _MAX_DEPTH = 200, 32
_SERVICE = ".loaded."  # how the binding of a service is called in the code's own table
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31)]


class LimitsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cloudflare's names → ``runtime.supervisor.limits``'s."""

    cpuMs: Positive | None = None
    subRequests: Positive | None = None

    def asked(self) -> dict[str, int]:
        found = {"cpu_ms": self.cpuMs, "subrequests": self.subRequests}
        return {name: value for name, value in found.items() if value is not None}


class Code(msgspec.Struct, frozen=True):
    """As ``bindings.worker_loaders.shipping`` makes it. ``outbound``, ``tails``: numbers of services; ``outbound`` is
    "" where the code has its loader's network, None where it has none. ``env``: by name, as of ``runtime.values``, with
    an ``Ext`` of ``CAPABILITY`` for each service."""

    main: str
    modules: dict[str, bytes]
    env: dict[str, Any] = {}
    outbound: int | str | None = ""
    tails: list[int] = []
    date: str = ""
    flags: list[str] = []
    limits: LimitsAsked = LimitsAsked()


class EnvBinding(msgspec.Struct):
    """``env.NAME`` of the code, the host's half: a value is simply there."""

    name: str
    client_args: Mapping[str, Any]
    client: str = "bindings.worker_loaders.given:given"

    def describe(self) -> tuple[str, str]:
        return "given", "by its loader"

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise CallError("TypeError", f"env.{self.name} is a plain value: it has no {method}()")


class ServiceBinding(msgspec.Struct):
    """What of its loader's the code may call."""

    name: str
    to: Target
    client: str = "bindings.worker_loaders.given:service"
    client_args: Mapping[str, Any] = {}

    def describe(self) -> tuple[str, str]:
        return "worker", self.to.entrypoint

    def target(self, address: object) -> Target:
        return self.to

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise CallError("TypeError", "it is called where it leads to")


def read(given: object, services: Sequence[Target]) -> Code:
    """Raises CallError."""
    try:
        code = msgspec.convert(given, Code)
    except (msgspec.ValidationError, RecursionError) as error:
        raise CallError("TypeError", f"the code cannot be used: {error}") from None
    if len(code.modules) > MAX_MODULES or sum(map(len, code.modules.values())) > MAX_CODE_BYTES:
        most = f"{MAX_CODE_BYTES} bytes in {MAX_MODULES} modules"
        raise CallError("Error", f"Dynamic Worker code exceeds the maximum of {most}")
    for name in code.modules:
        _check_name(name)
    folders = {str(parent) for name in code.modules for parent in PurePosixPath(name).parents}
    if clash := sorted(folders & code.modules.keys()):
        raise CallError("TypeError", f"the module {clash[0]!r} is a folder as well")
    if code.main not in code.modules or not code.main.endswith(".py"):
        raise CallError("TypeError", f"mainModule {code.main!r} is none of the modules, or no Python")
    numbers = [*code.tails, *([code.outbound] if isinstance(code.outbound, int) else [])]
    if (code.outbound not in ("", None) and not isinstance(code.outbound, int)) or not _known(numbers, services):
        raise CallError("TypeError", "a service that is none")
    return code


def bindings_of(code: Code, services: Sequence[Target]) -> list[EnvBinding | ServiceBinding]:
    """Raises CallError: a service that is none."""
    found: list[EnvBinding | ServiceBinding] = []
    for name, value in code.env.items():
        if not _known(_services_in(value), services):
            raise CallError("TypeError", "a service that is none")
        found.append(EnvBinding(name, {"value": value}))
    return found + [ServiceBinding(service_name(number), to) for number, to in enumerate(services)]


def service_name(number: int) -> str:
    return f"{_SERVICE}{number}"


def write(code: Code, below: Path) -> Path:
    """Its modules, in a folder of their own. Raises OSError."""
    below.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix="code-", dir=below))
    for name, content in code.modules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    return folder


def _known(numbers: Sequence[int], services: Sequence[Target]) -> bool:
    return all(0 <= number < len(services) for number in numbers)


def _services_in(value: object) -> list[int]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _services_in(item)]
    if isinstance(value, list):
        return [number for item in value for number in _services_in(item)]
    return [int(bytes(value.data))] if isinstance(value, Ext) and value.code == CAPABILITY else []


def _check_name(name: str) -> None:
    """A relative path that stays below its folder. Raises CallError."""
    parts = name.split("/")
    odd = any(part in ("", ".", "..") for part in parts) or any(ord(char) < 32 or char in "\\:\x7f" for char in name)
    long = len(name.encode("utf-8", "replace")) > _MAX_NAME_BYTES or len(parts) > _MAX_DEPTH
    if odd or long or not name.isprintable():
        raise CallError("TypeError", f"{name[:_MAX_NAME_BYTES]!r} is no name of a module: write a relative path")


__all__ = ["Code", "bindings_of", "read", "service_name", "write"]
