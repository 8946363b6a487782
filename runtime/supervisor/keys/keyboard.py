"""The keys of ``pilot dev``, and what each does."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

from runtime.supervisor.keys.browser import show
from runtime.supervisor.keys.terminal import Terminal, terminal_name
from runtime.supervisor.observe.base import Observer

KEYS = {
    "o": "open the page in a browser",
    "e": "open the explorer: requests, keys, objects, SQL",
    "r": "reload the worker and its configuration",
    "c": "clear the screen",
    "q": "quit",
    "?": "show this; h too",
}

_TYPED_AT_ONCE = 3  # different keys that fingers may press while the event loop turns once


class Keyboard:
    """``url``: of the page; ``explorer``: of the explorer, None where it does not answer; ``reload``: opens the code
    anew."""

    def __init__(
        self, url: str, explorer: str | None, reload: Callable[[], Awaitable[None]], observer: Observer
    ) -> None:
        self._url, self._explorer, self._reload, self._observer = url, explorer, reload, observer
        self._terminal = Terminal(self.press)
        self._reloading: asyncio.Task[None] | None = None
        self._deeds: dict[str, Callable[[], None]] = {
            "o": self.open_page, "e": self._open_explorer, "r": self._reload_soon, "c": observer.clear,
            "q": _quit, "?": self._help, "h": self._help, "\n": lambda: observer.tell(""),
        }  # fmt: skip

    @property
    def is_there(self) -> bool:
        return terminal_name() is not None

    async def listen(self) -> None:
        """Until cancelled; at once where standard input is no terminal."""
        await self._terminal.listen()

    def restore(self) -> None:
        """The terminal as it was, for whoever leaves at once."""
        self._terminal.restore()

    def press(self, keys: str) -> None:
        """What came at one time. An arrow's sequence and a text that was pasted do nothing."""
        if "\x1b" in keys or len(set(keys)) > _TYPED_AT_ONCE:
            return
        for key in keys.lower().replace("\r", "\n"):
            if deed := self._deeds.get(key):
                deed()

    def open_page(self) -> None:
        self._open(self._url)

    def _open_explorer(self) -> None:
        if self._explorer is None:
            self._observer.tell(
                "  the explorer answers at addresses of this machine alone, or with PILOT_API_TOKEN set"
            )
        else:
            self._open(self._explorer)

    def _open(self, url: str) -> None:
        show(url, lambda why: self._observer.tell(f"  {why}"))

    def _reload_soon(self) -> None:
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.ensure_future(self._reload())

    def _help(self) -> None:
        self._observer.tell("", *(f"  {key}  {what}" for key, what in KEYS.items()), "")


def _quit() -> None:
    """As Ctrl-C does; again, at once."""
    os.kill(os.getpid(), signal.SIGINT)


__all__ = ["KEYS", "Keyboard"]
