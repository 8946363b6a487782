"""AbortController and AbortSignal (DOM standard, section 3), for asyncio."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any, TypeVar

T = TypeVar("T")
_log = logging.getLogger(__name__)


class FetchError(OSError):
    """A fetch without an answer, or whose answer broke off: what Pyodide calls AbortError, whatever the reason."""


class NetworkError(FetchError, TypeError):
    """There is no such server, or it does not answer: a ``TypeError`` in JavaScript."""


class AbortError(FetchError):
    """An operation was aborted: what JavaScript calls a DOMException named AbortError."""

    name = "AbortError"


class AbortSignal:
    """Tells operations to stop. Get one from ``AbortController().signal``, ``timeout`` or ``any``.

    Use it with ``fetch(url, signal=signal)``, or with any awaitable: ``await signal.race(work())``.
    Where Python differs: only exceptions can be raised, so a ``reason`` that is none is raised as
    ``AbortError(reason)``; the reason of ``timeout`` is Python's ``TimeoutError``.
    """

    __slots__ = ("_callbacks", "aborted", "ambient", "onabort", "reason")

    def __init__(self) -> None:
        self.aborted = False
        self.reason: Any = None
        self.onabort: Callable[[Any], Any] | None = None
        self.ambient = False  # True: the runtime's own, of the event served; it ends what that event began
        self._callbacks: list[Callable[[], object]] = []

    @staticmethod
    def abort(reason: object = None) -> AbortSignal:
        """A signal that is aborted already."""
        signal = AbortSignal()
        signal._fire(reason)
        return signal

    @staticmethod
    def timeout(milliseconds: float, reason: TimeoutError | None = None) -> AbortSignal:
        """A signal that aborts with ``TimeoutError`` after so many *milliseconds*, as in the standard."""
        signal = AbortSignal()
        reason = reason or TimeoutError(f"The operation was aborted: {milliseconds:g} ms have passed")
        asyncio.get_running_loop().call_later(milliseconds / 1000, signal._fire, reason)
        return signal

    @staticmethod
    def any(signals: Iterable[AbortSignal]) -> AbortSignal:
        """A signal that aborts with the first of ``signals``, and with its reason."""
        signal = AbortSignal()
        for source in signals:
            source.on_abort(lambda source=source: signal._fire(source.reason))  # type: ignore[misc]
        return signal

    def throw_if_aborted(self) -> None:
        """Raise the reason if this signal is aborted."""
        if self.aborted:
            raise self.error()

    def error(self) -> BaseException:
        """The reason as something that can be raised."""
        return self.reason if isinstance(self.reason, BaseException) else AbortError(self.reason)

    def on_abort(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback()`` on abort, at once if it has happened. Returns a function that takes it back."""
        if self.aborted:
            callback()
        else:
            self._callbacks.append(callback)
        return lambda: self._forget(callback)

    def add_event_listener(self, kind: str, listener: Callable[[Any], object]) -> None:
        """The standard's way: calls ``listener(event)``, a plain function, for the kind ``"abort"``."""
        if kind == "abort" and not self.aborted:
            self._callbacks.append(_Listener(self, listener))

    def remove_event_listener(self, kind: str, listener: Callable[[Any], object]) -> None:
        if kind == "abort":
            self._forget(_Listener(self, listener))

    async def wait(self) -> None:
        """Return once aborted."""
        aborted = asyncio.Event()
        forget = self.on_abort(aborted.set)
        try:
            await aborted.wait()
        finally:
            forget()

    async def race(self, work: Awaitable[T]) -> T:
        """The result of ``work``; or, once this signal aborts, the reason raised and ``work`` cancelled."""
        task = asyncio.ensure_future(work)
        forget = self.on_abort(task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            if self.aborted and not _being_cancelled():
                raise self.error() from None
            raise
        finally:
            forget()

    def _fire(self, reason: object = None) -> None:
        if self.aborted:
            return
        self.aborted = True
        self.reason = AbortError("The operation was aborted") if reason is None else reason
        callbacks, self._callbacks = self._callbacks, []
        if self.onabort is not None:
            callbacks.insert(0, _Listener(self, self.onabort))
        for callback in callbacks:
            _call(callback)

    def _forget(self, callback: Callable[[], object]) -> None:
        if callback in self._callbacks:
            self._callbacks.remove(callback)

    throwIfAborted = throw_if_aborted
    addEventListener = add_event_listener
    removeEventListener = remove_event_listener


class AbortController:
    """``controller.abort(reason)`` aborts ``controller.signal``."""

    __slots__ = ("signal",)

    def __init__(self) -> None:
        self.signal = AbortSignal()

    def abort(self, reason: object = None) -> None:
        """Abort; the reason is an ``AbortError`` unless given. Later calls do nothing."""
        self.signal._fire(reason)


class _Listener:
    """An event listener as a callback; equal to another for the same function, so that it can be removed."""

    def __init__(self, signal: AbortSignal, function: Callable[[Any], object]) -> None:
        self.signal, self.function = signal, function

    def __call__(self) -> object:
        return self.function(SimpleNamespace(type="abort", target=self.signal))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Listener) and other.function == self.function

    __hash__ = None  # type: ignore[assignment]


def _call(callback: Callable[[], object]) -> None:
    """One listener that fails must not keep the others from hearing."""
    try:
        callback()
    except Exception:
        _log.exception("an abort listener raised")


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
