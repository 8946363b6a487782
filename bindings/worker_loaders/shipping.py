"""Upstream's ``WorkerCode``, from what a worker gives to what is sent.

https://developers.cloudflare.com/dynamic-workers/api-reference/#workercode
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec.msgpack import Ext

from runtime.isolate.calls.service import Service
from runtime.values import JsException, to_wire
from runtime.values.wire import CAPABILITY

MAX_CODE_BYTES = 32 * 1024 * 1024
_KINDS = ("js", "cjs", "text", "data", "json", "py", "wasm")
_JAVASCRIPT = ("js", "cjs", "wasm")
Rows = list[tuple[str, object]]


def shipped(given: object) -> tuple[dict[str, Any], Rows]:
    """(the code as of ``bindings.worker_loaders.code.Code``; [binding, address] of each service in it). Raises
    JsException, a TypeError that says what is wrong."""
    code, shipping = _mapping(given, "the code"), _Shipping()
    main = code.get("mainModule")
    modules = _mapping(code.get("modules"), "modules")
    if not isinstance(code.get("compatibilityDate"), str):
        raise _type_error('compatibilityDate is missing: write {"compatibilityDate": "2026-11-01", ...}')
    if not modules:
        raise _type_error("Dynamic Worker code must contain at least one module.")
    if main not in modules:
        raise _type_error(f"mainModule is {main!r}, which is none of the modules: {', '.join(map(str, modules))}")
    contents = {str(name): _content(str(name), content) for name, content in modules.items()}
    if not str(main).endswith(".py") and _kind(modules[main]) != "py":
        raise _type_error(f"mainModule {main!r} is no Python module: workers here are Python")
    if (size := sum(map(len, contents.values()))) > MAX_CODE_BYTES:
        text = f"Dynamic Worker code size ({size} bytes) exceeds the maximum allowed size of {MAX_CODE_BYTES} bytes."
        raise JsException(text)
    if code.get("streamingTails"):
        raise _type_error("streamingTails are experimental upstream, and not served here: use tails")
    sent = {
        "main": main, "modules": contents, "env": shipping.env(code.get("env")), "date": code["compatibilityDate"],
        "flags": list(code.get("compatibilityFlags") or ()), "limits": limits_of(code),
        "tails": [shipping.service(tail, "tails") for tail in code.get("tails") or ()],
    }  # fmt: skip
    if "globalOutbound" in code:
        outbound = code["globalOutbound"]
        sent["outbound"] = None if outbound is None else shipping.service(outbound, "globalOutbound")
    return sent, shipping.rows


def limits_of(options: Mapping[str, Any]) -> dict[str, int]:
    """``{cpuMs, subRequests}``. Raises JsException (TypeError)."""
    given = _mapping(options.get("limits") or {}, "limits")
    found = {name: given[name] for name in ("cpuMs", "subRequests") if given.get(name) is not None}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
            raise _type_error(f"limits.{name} must be a number from 1 on")
    return {name: int(value) for name, value in found.items()}


class _Shipping:
    def __init__(self) -> None:
        self.rows: Rows = []

    def env(self, given: object) -> dict[str, Any]:
        values = {} if given is None else _mapping(given, "env")
        return {str(name): to_wire(value, self._other) for name, value in values.items()}

    def service(self, value: object, where: str) -> int:
        if not isinstance(value, Service):
            raise _type_error(f"{where}: only service bindings can be given, such as ctx.exports.Name")
        self.rows.append(value._place())
        return len(self.rows) - 1

    def _other(self, value: object) -> object:
        """What of ``env`` is no plain value."""
        if isinstance(value, Service):
            return Ext(CAPABILITY, b"%d" % self.service(value, "env"))
        what = f"env: a {type(value).__name__} cannot be given to a Dynamic Worker"
        raise JsException(f"{what}: give it a class of yours that uses it, ctx.exports.Name", "DataCloneError")


def _content(name: str, given: object) -> bytes:
    if isinstance(given, str):
        if name.endswith(".py") or name.startswith("python_modules/"):
            return given.encode("utf-8", "surrogatepass")
        if name.endswith((".js", ".mjs", ".cjs", ".ts")):
            raise _not_python(name)
        end = "'.js' or '.py' (or the content must be an object indicating the type explicitly)"
        raise _type_error(f"Module name must end with {end}. Got: {name}")
    module = _mapping(given, f"the module {name!r}")
    found = [kind for kind in _KINDS if module.get(kind) is not None]
    if len(found) != 1:
        kinds = "'js', 'cjs', 'text', 'data', 'json', 'py', or 'wasm'"
        raise _type_error(
            f"Each module must contain exactly one of {kinds}. Module '{name}' contained {len(found)} properties."
        )
    [kind] = found
    if kind in _JAVASCRIPT:
        raise _not_python(name)
    return _bytes_of(name, kind, module[kind])


def _bytes_of(name: str, kind: str, value: object) -> bytes:
    if kind == "json":
        return json.dumps(to_wire(value)).encode()
    if kind == "data":
        return bytes(value)  # type: ignore[call-overload, no-any-return]
    if not isinstance(value, str):
        raise _type_error(f"the module {name!r}: {kind} must be a text")
    return value.encode("utf-8", "surrogatepass")


def _kind(module: object) -> str:
    return next(iter(module), "") if isinstance(module, Mapping) else ""


def _mapping(given: object, what: str) -> Mapping[Any, Any]:
    if not isinstance(given, Mapping) and hasattr(given, "to_py"):
        given = given.to_py()
    if not isinstance(given, Mapping):
        raise _type_error(f"{what} must be an object, not {type(given).__name__}")
    return given


def _not_python(name: str) -> JsException:
    return _type_error(f'Module "{name}" is not Python, and workers here are: write {{"py": source}}')


def _type_error(what: str) -> JsException:
    return JsException(what, "TypeError")


__all__ = ["limits_of", "shipped"]
