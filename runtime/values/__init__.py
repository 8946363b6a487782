"""Values between a worker and its bindings: what JavaScript calls them, what Python sees, how they lie on the wire.

A binding's worker half sends ``to_wire(value)``, its host half answers plain data, and the worker gets
``from_wire(answer)``. Facts: docs/reference/bindings.md#conversions.
"""

from __future__ import annotations

from runtime.values.buffers import JsBuffer
from runtime.values.incoming import from_json, from_wire
from runtime.values.maps import JsMap
from runtime.values.objects import JsBigInt, JsDict, JsException, JsNull, Named, jsnull
from runtime.values.outgoing import to_wire
from runtime.values.proxies import JsArray
from runtime.values.texts import js_integer, js_string, stringify
from runtime.values.wire import STREAM, Opaque, opened, stream_mark, stream_named
from runtime.wire.frames import well_formed

__all__ = [
    "STREAM", "JsArray", "JsBigInt", "JsBuffer", "JsDict", "JsException", "JsMap", "JsNull", "Named", "Opaque",
    "from_json", "from_wire", "js_integer", "js_string", "jsnull", "opened", "stream_mark", "stream_named", "stringify",
    "to_wire",
    "well_formed",
]  # fmt: skip
