"""Globals of JavaScript that take time to import, or that few workers ask for: made when one is first asked for."""

from __future__ import annotations

from functools import cache
from pkgutil import resolve_name
from typing import Any

_CLASSES = {  # with ``new``
    "URLPattern": "js._adapted:URLPattern",
    "HTMLRewriter": "runtime.web.html.rewriter:HTMLRewriter",
    "RegExp": "js._regexp:RegExp",
    "WeakRef": "js._language:WeakRef",
    "TextEncoder": "js._adapted:TextEncoder",
    "TextDecoder": "js._adapted:TextDecoder",
    "WritableStream": "runtime.web.globals.piping:WritableStream",
    "TransformStream": "runtime.web.globals.piping:TransformStream",
    "IdentityTransformStream": "runtime.web.globals.piping:TransformStream",
    "FixedLengthStream": "runtime.web.globals.piping:FixedLengthStream",
    "CompressionStream": "runtime.web.globals.compression:CompressionStream",
    "DecompressionStream": "runtime.web.globals.compression:DecompressionStream",
    "TextEncoderStream": "runtime.web.globals.compression:TextEncoderStream",
    "TextDecoderStream": "runtime.web.globals.compression:TextDecoderStream",
    "EventSource": "runtime.web.globals.event_source:EventSource",
    **{name: f"runtime.web.globals.targets:{name}" for name in ("EventTarget", "MessageChannel", "MessagePort")},
}
_VALUES = {
    "crypto": "js._crypto:crypto",
    "atob": "js._adapted:atob",
    "btoa": "js._adapted:btoa",
    "structuredClone": "runtime.web.globals.clone:structuredClone",
    "BigInt": "runtime.values:JsBigInt",
    "globalThis": "js",
    "self": "js",
    "ArrayBuffer": "runtime.values.buffers:JsBuffer",
    "Uint8Array": "runtime.values.buffers:JsBuffer",
    "Uint8ClampedArray": "runtime.values.buffers:JsBuffer",
    "Array": "js._adapted:Array",
    "Map": "runtime.values:JsMap",
    "Date": "runtime.values.dates:Date",
    "DOMException": "js._adapted:DOMException",
    "AggregateError": "js._adapted:AggregateError",
    "Set": "js._set:Set",
    "Symbol": "js._symbol:Symbol",
    "Intl": "js._intl:Intl",
    "Promise": "js._adapted:Promise",
    "Math": "js._math:Math",
    "navigator": "js._adapted:navigator",
    **{
        name: f"js._adapted:{name}"
        for name in ("Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError")
    },
    **{
        name: f"js._typed:{name}"
        for name in ("BigInt64Array", "BigUint64Array", "DataView", "Float32Array", "Float64Array", "Int16Array",
                     "Int32Array", "Int8Array", "Uint16Array", "Uint32Array")
    },
    **{
        name: f"js._language:{name}"
        for name in ("Boolean", "Infinity", "NaN", "Number", "Reflect", "String", "WeakMap", "WeakSet", "decodeURI",
                     "decodeURIComponent", "encodeURI", "encodeURIComponent", "eval", "isFinite", "isNaN", "parseFloat",
                     "parseInt", "reportError")
    },
    **{
        name: f"runtime.web.globals.events:{name}"
        for name in ("CloseEvent", "CustomEvent", "ErrorEvent", "Event", "MessageEvent")
    },
    **{
        name: f"runtime.isolate.timers:{name}"
        for name in ("setTimeout", "clearTimeout", "setInterval", "clearInterval", "queueMicrotask", "scheduler",
                     "performance")
    },
}  # fmt: skip
NAMES = (*_CLASSES, *_VALUES)


def find(name: str) -> object | None:
    """None: there is none of that name."""
    if name in _VALUES:
        found: object = resolve_name(_VALUES[name])
        return found
    return _with_new(_CLASSES[name]) if name in _CLASSES else None


@cache
def _with_new(place: str) -> type:
    """``Class.new(...)``; options may come as one object at the end, as in JavaScript, or by keyword."""
    cls: Any = resolve_name(place)

    def new(made: type, /, *args: object, **options: object) -> object:
        return made(*args, **options)

    return type(cls.__name__, (cls,), {"new": classmethod(new), "__module__": "js"})


__all__ = ["NAMES", "find"]
