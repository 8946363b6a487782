"""For type checkers: ``runtime/sdk/js`` by the name that a worker has for it, with the names that are made when they
are first asked for, and those that products bring. ``Class.new(...)`` is Pyodide's ``new Class(...)``."""

from typing import Any, Self

from bindings.cache.worker import CacheStorage
from runtime.isolate.timers import clearInterval as clearInterval
from runtime.isolate.timers import clearTimeout as clearTimeout
from runtime.isolate.timers import performance as performance
from runtime.isolate.timers import queueMicrotask as queueMicrotask
from runtime.isolate.timers import scheduler as scheduler
from runtime.isolate.timers import setInterval as setInterval
from runtime.isolate.timers import setTimeout as setTimeout
from runtime.sdk.js import *
from runtime.sdk.js._adapted import AggregateError as AggregateError
from runtime.sdk.js._adapted import Array as Array
from runtime.sdk.js._adapted import DOMException as DOMException
from runtime.sdk.js._adapted import Error as Error
from runtime.sdk.js._adapted import EvalError as EvalError
from runtime.sdk.js._adapted import Promise as Promise
from runtime.sdk.js._adapted import RangeError as RangeError
from runtime.sdk.js._adapted import ReferenceError as ReferenceError
from runtime.sdk.js._adapted import SyntaxError as SyntaxError
from runtime.sdk.js._adapted import TextEncoder as _TextEncoder
from runtime.sdk.js._adapted import TypeError as TypeError
from runtime.sdk.js._adapted import URIError as URIError
from runtime.sdk.js._adapted import URLPattern as _URLPattern
from runtime.sdk.js._adapted import navigator as navigator
from runtime.sdk.js._console import console as console
from runtime.sdk.js._crypto import crypto as crypto
from runtime.sdk.js._intl import Intl as Intl
from runtime.sdk.js._language import Boolean as Boolean
from runtime.sdk.js._language import Infinity as Infinity
from runtime.sdk.js._language import NaN as NaN
from runtime.sdk.js._language import Number as Number
from runtime.sdk.js._language import Reflect as Reflect
from runtime.sdk.js._language import String as String
from runtime.sdk.js._language import WeakMap as WeakMap
from runtime.sdk.js._language import WeakRef as _WeakRef
from runtime.sdk.js._language import WeakSet as WeakSet
from runtime.sdk.js._language import decodeURI as decodeURI
from runtime.sdk.js._language import decodeURIComponent as decodeURIComponent
from runtime.sdk.js._language import encodeURI as encodeURI
from runtime.sdk.js._language import encodeURIComponent as encodeURIComponent
from runtime.sdk.js._language import eval as eval
from runtime.sdk.js._language import isFinite as isFinite
from runtime.sdk.js._language import isNaN as isNaN
from runtime.sdk.js._language import parseFloat as parseFloat
from runtime.sdk.js._language import parseInt as parseInt
from runtime.sdk.js._language import reportError as reportError
from runtime.sdk.js._math import Math as Math
from runtime.sdk.js._object import Object as Object
from runtime.sdk.js._regexp import RegExp as _RegExp
from runtime.sdk.js._set import Set as Set
from runtime.sdk.js._symbol import Symbol as Symbol
from runtime.sdk.js._typed import DataView as DataView
from runtime.sdk.js._typed import _TypedArray
from runtime.values import JsBigInt as BigInt
from runtime.values import JsMap as Map
from runtime.values.buffers import JsBuffer as ArrayBuffer
from runtime.values.buffers import JsBuffer as Uint8Array
from runtime.values.buffers import JsBuffer as Uint8ClampedArray
from runtime.values.dates import Date as Date
from runtime.web.globals.clone import structuredClone as structuredClone
from runtime.web.globals.compression import CompressionStream as _CompressionStream
from runtime.web.globals.compression import DecompressionStream as _DecompressionStream
from runtime.web.globals.compression import TextDecoderStream as _TextDecoderStream
from runtime.web.globals.compression import TextEncoderStream as _TextEncoderStream
from runtime.web.globals.event_source import EventSource as _EventSource
from runtime.web.globals.events import CloseEvent as _CloseEvent
from runtime.web.globals.events import CustomEvent as _CustomEvent
from runtime.web.globals.events import ErrorEvent as _ErrorEvent
from runtime.web.globals.events import Event as _Event
from runtime.web.globals.events import MessageEvent as _MessageEvent
from runtime.web.globals.piping import FixedLengthStream as _FixedLengthStream
from runtime.web.globals.piping import TransformStream as _IdentityTransformStream
from runtime.web.globals.piping import TransformStream as _TransformStream
from runtime.web.globals.piping import WritableStream as _WritableStream
from runtime.web.globals.targets import EventTarget as _EventTarget
from runtime.web.globals.targets import MessageChannel as _MessageChannel
from runtime.web.globals.targets import MessagePort as _MessagePort
from runtime.web.globals.text import TextDecoder as _TextDecoder
from runtime.web.globals.text import atob as atob
from runtime.web.globals.text import btoa as btoa
from runtime.web.html.rewriter import HTMLRewriter as _HTMLRewriter

caches: CacheStorage
globalThis: Any
self: Any

class _New:
    @classmethod
    def new(cls, *args: Any, **options: Any) -> Self: ...

class URLPattern(_URLPattern, _New): ...
class RegExp(_RegExp, _New): ...
class WeakRef(_WeakRef, _New): ...
class HTMLRewriter(_HTMLRewriter, _New): ...
class TextEncoder(_TextEncoder, _New): ...
class TextDecoder(_TextDecoder, _New): ...
class WritableStream(_WritableStream, _New): ...
class TransformStream(_TransformStream, _New): ...
class IdentityTransformStream(_IdentityTransformStream, _New): ...
class FixedLengthStream(_FixedLengthStream, _New): ...
class CompressionStream(_CompressionStream, _New): ...
class DecompressionStream(_DecompressionStream, _New): ...
class TextEncoderStream(_TextEncoderStream, _New): ...
class TextDecoderStream(_TextDecoderStream, _New): ...
class EventSource(_EventSource, _New): ...
class CloseEvent(_CloseEvent, _New): ...
class CustomEvent(_CustomEvent, _New): ...
class ErrorEvent(_ErrorEvent, _New): ...
class Event(_Event, _New): ...
class EventTarget(_EventTarget, _New): ...
class MessageChannel(_MessageChannel, _New): ...
class MessageEvent(_MessageEvent, _New): ...
class MessagePort(_MessagePort, _New): ...
class BigInt64Array(_TypedArray): ...
class BigUint64Array(_TypedArray): ...
class Float32Array(_TypedArray): ...
class Float64Array(_TypedArray): ...
class Int8Array(_TypedArray): ...
class Int16Array(_TypedArray): ...
class Int32Array(_TypedArray): ...
class Uint16Array(_TypedArray): ...
class Uint32Array(_TypedArray): ...
