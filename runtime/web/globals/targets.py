"""EventTarget, MessageChannel. DOM standard, section 2; HTML standard, 9.4."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from runtime.web.globals.clone import structuredClone
from runtime.web.globals.events import Event, MessageEvent

Listener = Callable[..., Any]
_log = logging.getLogger(__name__)


class EventTarget:
    """Listeners are plain functions, coroutine functions or objects with ``handleEvent``; so is ``onNAME``."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Listener, Mapping[str, Any]]] = {}

    def addEventListener(self, type: str, listener: object, options: object = None) -> None:
        """``options``: ``once``, and ``signal``, which takes it away when it aborts."""
        if listener is None:
            return
        given = options if isinstance(options, Mapping) else {}
        self._listeners.setdefault(type, {}).setdefault(cast(Listener, listener), given)
        if (signal := given.get("signal")) is not None:
            signal.on_abort(lambda: self.removeEventListener(type, listener))

    def removeEventListener(self, type: str, listener: object, options: object = None) -> None:
        self._listeners.get(type, {}).pop(listener, None)  # type: ignore[call-overload]

    def dispatchEvent(self, event: Event) -> bool:
        """False where a listener has prevented the default. What one raises is logged, and the others are called."""
        event.target = self
        for listener, options in list(self._listeners.get(event.type, {}).items()):
            if options.get("once"):
                self.removeEventListener(event.type, listener)
            _call(getattr(listener, "handleEvent", listener), event)
            if event.stopped:
                break
        if (handler := getattr(self, f"on{event.type}", None)) is not None and not event.stopped:
            _call(handler, event)
        return not event.defaultPrevented


class MessagePort(EventTarget):
    """One end of a MessageChannel: what is posted here is dispatched there, as ``message``, in a later turn."""

    def __init__(self) -> None:
        super().__init__()
        self.other: MessagePort | None = None
        self.onmessage: Listener | None = None
        self._waiting: list[Any] | None = []  # until somebody listens

    def postMessage(self, value: object, transfer: object = None) -> None:
        """Raises DataCloneError."""
        if self.other is not None:
            asyncio.get_running_loop().call_soon(self.other._receive, structuredClone(value))

    def start(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for value in waiting:
            self._receive(value)

    def close(self) -> None:
        if self.other is not None:
            self.other.other = None
        self.other = None

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "onmessage" and value is not None:
            self.start()

    def _receive(self, value: object) -> None:
        if self._waiting is not None:
            self._waiting.append(value)
        else:
            self.dispatchEvent(MessageEvent("message", data=value))


class MessageChannel:
    def __init__(self) -> None:
        self.port1, self.port2 = MessagePort(), MessagePort()
        self.port1.other, self.port2.other = self.port2, self.port1


_running: set[asyncio.Future[Any]] = set()


def _call(listener: Listener, event: Event) -> None:
    try:
        done = listener(event)
    except Exception:
        return _log.exception("a listener of %r raised", event.type)
    if inspect.isawaitable(done):
        task = asyncio.ensure_future(done)
        _running.add(task)
        task.add_done_callback(_over)


def _over(task: asyncio.Future[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a listener raised", exc_info=error)


__all__ = ["EventTarget", "MessageChannel", "MessagePort"]
