"""A worker under test: a real ``pilot dev`` of its folder, asked over HTTP.

The pytest plugin ``plugin`` has it as the fixture ``worker``; nothing needs to be imported:

    def test_hello(worker):
        assert worker.fetch("/").text() == "Hello from Python!\\n"
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from runtime.testing.environment import Environment

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
    asked, unless ``arguments`` or ``answer`` say otherwise. ``log``: what it has printed and said, line by line."""

    folder: Path
    arguments: tuple[str, ...] = ()
    log: list[str] = field(default_factory=list, repr=False)
    url: str = ""

    def __enter__(self) -> Self:
        """Raises RuntimeError with its log when it does not start."""
        self._token, self._answers = secrets.token_urlsafe(), tempfile.NamedTemporaryFile(suffix=".jsonl")  # noqa: SIM115
        known = {"PILOT_TEST_TOKEN": self._token, "PILOT_ECHO_ANSWERS": self._answers.name}
        words = ["dev", "--port", "0", "--log-format", "json", "--no-persist", "--engine", "echo", *self.arguments]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runtime.cli", *words], cwd=self.folder, text=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **known},
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

    @property
    def env(self) -> Environment:
        """Its bindings, to seed them and to look into them: ``worker.env.KV.put("a", "b")``; nothing is awaited."""
        from runtime.testing.environment import Environment  # which not every test needs

        return Environment(self._asked)

    def advance(self, seconds: float) -> None:
        """Move its clock on. Crons and alarms that were due in between have run when this returns; what has expired in
        KV and the Cache API is gone, and delayed messages and sleeping workflows go on. ``time.time()`` in the worker's
        own code stays as it is. Raises RuntimeError: it is another server's."""
        self._asked("clock", repr(float(seconds)).encode())

    def scheduled(self, cron: str | None = None, *, time: float | None = None) -> Answer:
        """Run its ``scheduled`` handler now, as for ``cron``; ``time``: seconds since 1970 that the event says."""
        query = {} if cron is None else {"cron": cron}
        query |= {} if time is None else {"time": str(int(time * 1000))}
        return self.fetch(f"/cdn-cgi/local/scheduled?{urllib.parse.urlencode(query)}")

    def answer(self, text: str = "", *, when: str = "", tool: tuple[str, Mapping[str, object]] | None = None) -> None:
        """From now on its models say ``text`` to a prompt whose last message holds ``when``, or call the ``tool``
        (name, arguments) where one of that name is offered. The newest rule that fits counts."""
        rule: dict[str, object] = {"when": when, "text": text}
        if tool is not None:
            rule |= {"tool": tool[0], "arguments": dict(tool[1])}
        with open(self._answers.name, "ab") as rules:
            rules.write(_encoded(rule) + b"\n")

    def _asked(self, what: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"x-pilot-test-token": self._token, "content-type": "application/octet-stream"}
        answer = self.fetch(f"/__pilot/testing/{what}", "POST", headers=headers, body=body)
        if answer.status not in (200, 400):
            raise RuntimeError(f"the server says to {what}: {answer.status} {answer.text()}")
        return answer.status, answer.headers, answer.body

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
        self._answers.close()
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
