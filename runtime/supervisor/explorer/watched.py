"""An observer whose words a feed hears too."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Literal

from runtime.errors import ScriptError
from runtime.supervisor.explorer.feed import Feed
from runtime.supervisor.observe.base import LEVELS, Banner, Level, Observer, RequestRecord


class Watched(Observer):
    """``inner`` decides what it shows at its level; while the feed is read, that is told of everything from info up.
    ``others``: feeds that end with the server too."""

    def __init__(self, inner: Observer, feed: Feed, *others: Feed) -> None:
        self._inner, self._feed, self._feeds = inner, feed, (feed, *others)
        self.threshold, self.several = inner.threshold, inner.several

    def shows(self, level: Level) -> bool:
        return LEVELS[level] >= self.threshold or (self._feed.watched and level != "debug")

    def banner(self, banner: Banner) -> None:
        self._inner.banner(banner)

    def ready(self, url: str, *, keys: bool = False) -> None:
        self._inner.ready(url, keys=keys)

    def tell(self, *lines: str) -> None:
        self._inner.tell(*lines)

    def clear(self) -> None:
        self._inner.clear()

    def request(self, request: RequestRecord) -> None:
        self._feed.request(request)
        self._inner.request(request)

    def debug(self, text: str) -> None:
        self._inner.debug(text)

    def note(self, text: str) -> None:
        self._feed.line("info", text)
        self._inner.note(text)

    def warn(self, text: str) -> None:
        self._feed.line("warning", text)
        self._inner.warn(text)

    def error(self, text: str, worker: str | None = None) -> None:
        self._feed.line("error", text, worker)
        self._inner.error(text, worker)

    def script_error(self, err: ScriptError, worker: str | None = None) -> None:
        self._feed.line("error", "\n".join(filter(None, (str(err), err.trace))), worker)
        self._inner.script_error(err, worker)

    def fault(self, exc: BaseException, request_id: str | None = None) -> None:
        self._feed.line("error", "internal error\n" + "".join(traceback.format_exception(exc)))
        self._inner.fault(exc, request_id)

    def worker_output(self, name: str, stream: Literal["stdout", "stderr"], line: str) -> None:
        self._feed.line("log" if stream == "stdout" else "error", line, name)
        self._inner.worker_output(name, stream, line)

    def importing(self, worker: str, script: str, seconds: float, what: str, url: str | None = None) -> None:
        self._inner.importing(worker, script, seconds, what, url)

    def blocked(self, worker: str, seconds: float, waiting: Sequence[str], where: str, trace: str) -> None:
        self._feed.line("warning", f"the event loop has been blocked for {seconds:g} s {where}\n{trace}", worker)
        self._inner.blocked(worker, seconds, waiting, where, trace)

    def reloaded(self, version: int, ms: float, files: Sequence[str]) -> None:
        self._feed.line("info", f"reloaded in {ms:.0f} ms: v{version}")
        self._inner.reloaded(version, ms, files)

    def progress(self, key: str, stage: str, fraction: float | None, detail: str = "") -> None:
        self._inner.progress(key, stage, fraction, detail)

    def progress_done(self, key: str, text: str) -> None:
        self._inner.progress_done(key, text)
        if text:
            self._feed.line("info", text)

    def stopping(self, reason: str, waiting: Sequence[str] = (), seconds: float = 0) -> None:
        for feed in self._feeds:
            feed.close()
        self._inner.stopping(reason, [one for one in waiting if not one.startswith("GET /__pilot/")], seconds)

    def close(self) -> None:
        self._inner.close()


__all__ = ["Watched"]
