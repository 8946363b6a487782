"""A worker under test: a real ``pilot dev`` of its folder, asked over HTTP.

The pytest plugin ``plugin`` has it as the fixture ``worker``; nothing needs to be imported:

    def test_hello(worker):
        assert worker.fetch("/").text() == "Hello from Python!\\n"
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START_S = 60.0  # for it to serve; packages may have to be imported
_STOP_S = 10.0


@dataclass(frozen=True)
class Answer:
    """What the worker answered, whole. Header names are in lower case; of several values the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[str]:
        """The data of each server-sent event."""
        parts = self.text().replace("\r\n", "\n").split("\n\n")
        lines = [[line for line in part.split("\n") if line.startswith("data:")] for part in parts]
        return ["\n".join(line[5:].removeprefix(" ") for line in found) for found in lines if found]


@dataclass
class Worker:
    """``with Worker(folder) as worker``. State is forgotten at the end; models are ``echo``, which repeats what it is
    asked, unless ``arguments`` say otherwise. ``log``: what it has printed and said, line by line."""

    folder: Path
    arguments: tuple[str, ...] = ()
    log: list[str] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> Self:
        """Raises RuntimeError with its log when it does not start."""
        words = ["dev", "--port", "0", "--log-format", "json", "--no-persist", "--engine", "echo", *self.arguments]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runtime.cli", *words], cwd=self.folder, text=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._urls: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self.url = self._urls.get(timeout=_START_S)
        except queue.Empty:
            self.url = ""
        if not self.url:
            self._stop()
            raise RuntimeError("pilot dev did not start:\n" + "\n".join(self.log[-40:]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def fetch(
        self, path: str = "/", method: str | None = None, *, headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None, json: object = None, timeout: float = 60.0,
    ) -> Answer:  # fmt: skip
        """Ask for ``path``; any status is an answer. ``json`` is sent as JSON. Redirects are not followed."""
        data, sent = body.encode() if isinstance(body, str) else body, dict(headers or {})
        if json is not None:
            data, sent = _encoded(json), {"content-type": "application/json", **sent}
        request = urllib.request.Request(f"{self.url}{path}", data, sent, method=method)
        try:
            with _opener.open(request, timeout=timeout) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.append(_said(line.rstrip("\n")))
            if (url := _url(line)) is not None:
                self._urls.put(url)
        self._urls.put("")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(_STOP_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect(), urllib.request.ProxyHandler({}))


def _answer(response: Any) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, response.read())


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def _event(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _url(line: str) -> str | None:
    event = _event(line)
    return str(event["url"]) if event.get("event") == "ready" else None


def _said(line: str) -> str:
    """A line of the log as a person reads it."""
    event = _event(line)
    words = [str(event[key]) for key in ("event", "text", "where", "what", "trace") if event.get(key)]
    return ": ".join(words) or line


__all__ = ["Answer", "Worker"]
