"""Workers that are written with frameworks, and those that ask other servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from runtime.testing import Worker

pytestmark = pytest.mark.e2e
Started = Callable[..., Worker]
Reply = Callable[[str, str, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]


@contextmanager
def server(reply: Reply) -> Iterator[str]:
    """Its URL. ``reply(method, path, headers, body)`` says status, headers and body."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, headers, content = reply(self.command, self.path, dict(self.headers.items()), body)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_any

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


def in_json(value: object, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/json"}, json.dumps(value).encode()


def test_fastapi(started: Started) -> None:
    worker = started("fastapi_items")
    made = worker.fetch("/items", json={"name": "pear", "price": 1.5})
    assert (made.status, made.json()) == (201, {"id": 1, "name": "pear", "price": 1.5})
    assert worker.fetch("/items/1").json() == {"name": "pear", "price": 1.5}
    assert (worker.fetch("/items/2").status, worker.fetch("/items", json={"name": "x", "price": 0}).status) == (
        404,
        422,
    )
    assert worker.fetch("/page").text() == "<ul><li>pear: 1.5</li></ul>"
    assert worker.fetch("/log/1").json() == {"log": "pear"}
    assert worker.fetch("/started").json() == {"started": 1, "greeting": "hello"}
    assert worker.fetch("/stream").text() == "line 0\nline 1\nline 2\n"
    content = (
        b"--b\r\ncontent-disposition: form-data; name=file; filename=a.txt\r\n\r\n" + b"x" * 100_000 + b"\r\n--b--\r\n"
    )
    upload = worker.fetch("/upload", body=content, headers={"content-type": "multipart/form-data; boundary=b"})
    assert upload.json() == {"name": "a.txt", "size": 100_000}


def test_django_on_d1_and_in_an_object(started: Started) -> None:
    worker = started("django_notes")
    for place in ("", "/object"):
        migrated = worker.fetch(f"{place}/migrate/", timeout=120)
        assert migrated.text() == "migrated", migrated.text()
        assert worker.fetch(f"{place}/notes/").json() == {"notes": [], "open": 0}
        worker.fetch(f"{place}/notes/", json={"text": f"é {place}", "done": True})
        notes = worker.fetch(f"{place}/notes/", json={"text": "it's"}).json()
        assert sorted((note["text"], bool(note["done"])) for note in notes["notes"]) == [
            ("it's", False),
            (f"é {place}", True),
        ]
        assert notes["open"] == 1
    page = worker.fetch("/notes/page/").text()
    assert "it&#x27;s</li>" in page
    assert "(done)" in page
    assert len(worker.fetch("/notes/", "DELETE").json()["notes"]) == 1


def test_flask(started: Started) -> None:
    worker = started("flask_guestbook")
    form = {"content-type": "application/x-www-form-urlencoded"}
    signed = worker.fetch("/", body="name=ann&text=hi+%3Cb%3E", headers=form)
    assert (signed.status, signed.headers["location"]) == (302, "/")
    cookie = {"cookie": signed.headers["set-cookie"].partition(";")[0]}
    assert worker.fetch("/", headers=cookie).text() == "<p><b>ann</b> hi &lt;b&gt;</p>thanks"
    assert worker.fetch("/visits", headers=cookie).json() == {"visits": 1}
    assert worker.fetch("/upload", body=b"x" * 200_000).json() == {"size": 200_000}


def test_a_proxy_that_caches(started: Started) -> None:
    asked: list[tuple[str, str | None]] = []

    def reply(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        asked.append((path, headers.get("x-forwarded-host")))
        return 200, {"x-origin": "yes"}, body or path.encode()

    with server(reply) as origin:
        worker = started("proxy", "--var", f"ORIGIN:{origin}")
        first = worker.fetch("/a?b=1", headers={"cookie": "secret"})
        assert (first.text(), first.headers["x-origin"]) == ("/a?b=1", "yes")
        for _ in range(50):
            if (second := worker.fetch("/a?b=1")).headers.get("x-cache") == "HIT":
                break
        assert (second.text(), second.headers["x-cache"]) == ("/a?b=1", "HIT")
        assert worker.fetch("/post", body="sent").text() == "sent"
        assert asked[0] == ("/a?b=1", worker.url.removeprefix("http://"))


def test_an_agent_calls_its_tools(started: Started) -> None:
    def reply(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        messages = json.loads(body)["messages"]
        done = [message["content"] for message in messages if message["role"] == "tool"]
        calls = [("price", {"product": "pear"}), ("times", {"a": 3, "b": 2})][len(done) :]
        message: dict[str, Any] = {"role": "assistant", "content": f"That is {done[-1]}" if not calls else None}
        if calls:
            name, arguments = calls[0]
            function = {"name": name, "arguments": json.dumps(arguments)}
            message["tool_calls"] = [{"id": f"call{len(done)}", "type": "function", "function": function}]
        reason = "tool_calls" if calls else "stop"
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return in_json({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})

    with server(reply) as provider:
        worker = started("agent", "--var", f"BASE_URL:{provider}/v1")
        answer = worker.fetch("/", json={"question": "What do two pears cost?"}, timeout=120)
        assert answer.json() == {"answer": "That is 6.0", "steps": 7}, answer.text()


def test_signing_in_with_another_server(started: Started) -> None:
    known: dict[str, list[str]] = {}

    def reply(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path == "/token":
            known.update(parse_qs(body.decode()))
            good = known["code"] == ["code"] and known["client_secret"] == ["very secret"]
            return in_json({"access_token": "t"}) if good else in_json({"error": "bad code"}, 400)
        return in_json({"login": "ann"} if headers.get("authorization") == "Bearer t" else {})

    with server(reply) as provider:
        worker = started("oauth", "--var", f"PROVIDER:{provider}", secrets='CLIENT_SECRET="very secret"\n')
        assert worker.fetch("/").headers["location"] == f"{worker.url}/login"
        asked = urlsplit(worker.fetch("/login").headers["location"])
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        assert (asked.path, query["client_id"], query["code_challenge_method"]) == ("/authorize", "client", "S256")
        assert worker.fetch("/callback?code=code&state=forged").status == 400
        back = worker.fetch(f"/callback?code=code&state={query['state']}")
        assert back.status == 303, back.text()
        cookie = back.headers["set-cookie"].partition(";")[0]
        assert worker.fetch("/", headers={"cookie": cookie}).text() == "Hello ann"
        assert worker.fetch(f"/callback?code=code&state={query['state']}").status == 400
