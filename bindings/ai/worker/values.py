"""What passes between a worker and ``env.AI``: plain JSON values going in, a ``Result`` coming out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from runtime.values import JsArray, JsDict, jsnull

_NUMBERS = frozenset({int, float})


class CallResult(TypedDict):
    """What the host's half answers when it is no stream; a stream has the headers in its ``meta``."""

    result: Any
    headers: Mapping[str, str]


class Result(JsDict):
    """A model's answer: ``result["response"]`` and ``result.response``, nested too; JSON as any dict is."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__((key, wrapped(value)) for key, value in values.items())

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise AttributeError(f"the result has no {name!r}; it has: {', '.join(self)}") from None


def wrapped(value: object) -> object:
    """``value`` with each dict in it a ``Result``, each list a ``JsArray``."""
    if isinstance(value, dict):
        return Result(value)
    if not isinstance(value, list):
        return value
    if _NUMBERS.issuperset(map(type, value)):  # a vector, say
        return JsArray(value)
    return JsArray([wrapped(item) for item in value])


def plain(value: object, at: str = "inputs") -> object:
    """``value`` as plain JSON values (and bytes). Raises ``TypeError`` that says where something else is."""
    if value is None or isinstance(value, str | int | float | bytes):
        return value
    if value is jsnull:
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{at}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{at}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if hasattr(value, "to_py"):  # a proxy of a JavaScript object
        return plain(value.to_py(), at)
    kinds = "str, numbers, bool, None, dict, list or bytes"
    raise TypeError(f"env.AI.run: {at} is a {type(value).__name__}; use {kinds}")


def plain_options(options: object) -> Mapping[str, Any]:
    """The options as a mapping, their values untouched: a signal is among them."""
    if options is None or options is jsnull:
        return {}
    options = options if isinstance(options, Mapping) or not hasattr(options, "to_py") else options.to_py()
    if not isinstance(options, Mapping):
        raise TypeError(f"env.AI.run: options is a {type(options).__name__}; use a dict")
    return options


def extra_headers(options: Mapping[str, Any]) -> dict[str, str]:
    """The headers of one call: the session's, then the call's own. Raises ``TypeError`` for what are none."""
    session = plain_options(options.get("sessionOptions"))
    headers: dict[str, str] = {}
    for part in (session.get("extraHeaders"), options.get("extraHeaders")):
        for name, value in plain_options(part).items():
            if not isinstance(value, str | int | float):
                raise TypeError(f"env.AI.run: the extra header {name!r} is a {type(value).__name__}; use a str")
            headers[str(name).lower()] = str(value)
    return headers


__all__ = ["CallResult", "Result", "extra_headers", "plain", "plain_options", "wrapped"]
