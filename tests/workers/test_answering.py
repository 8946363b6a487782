"""Workers that answer by themselves: pages, streams, sign-in, limits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from runtime.testing import Worker

pytestmark = pytest.mark.e2e
Started = Callable[..., Worker]


def test_a_chat_page_and_its_stream(started: Started) -> None:
    worker = started("chat")
    page = worker.fetch("/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html;charset=UTF-8")
    assert worker.fetch("/stream").status == 400
    stream = worker.fetch("/stream?q=one+two")
    *parts, end = stream.events()
    assert "".join(json.loads(part)["response"] for part in parts) == "one two"
    assert (end, stream.headers["content-type"]) == ("[DONE]", "text/event-stream")
    assert int(worker.fetch("/words?q=one+two").text()) >= 2


def test_passwords_and_tokens(started: Started) -> None:
    worker = started("auth", secrets="JWT_SECRET=not-a-secret\n")
    form = {"name": "ann", "password": "correct horse"}
    assert worker.fetch("/register", json=form).status == 204
    assert worker.fetch("/register", json=form).status == 409
    assert worker.fetch("/login", json={**form, "password": "wrong"}).status == 401
    assert worker.fetch("/login", json={"name": "nobody", "password": "x"}).status == 401
    token = worker.fetch("/login", json=form).json()["token"]
    assert token.count(".") == 2
    assert worker.fetch("/", headers={"authorization": f"Bearer {token}"}).json() == {"user": "ann"}
    head, claims, signature = token.split(".")
    forged = f"{head}.{claims}.{signature[:-2]}{'AA' if signature[-2:] != 'AA' else 'BB'}"
    assert worker.fetch("/", headers={"authorization": f"Bearer {forged}"}).status == 401
    assert worker.fetch("/").status == 401


def test_a_basket_by_cookie(started: Started) -> None:
    worker = started("session")
    cookie = worker.fetch("/add/pear").headers["set-cookie"].partition(";")[0]
    assert worker.fetch("/add/pear", headers={"cookie": cookie}).json() == {"pear": 2}
    assert worker.fetch("/", headers={"cookie": cookie}).json() == {"pear": 2}
    assert worker.fetch("/").json() == {}


def test_a_limited_api(started: Started) -> None:
    worker = started("limited")
    assert worker.fetch("/").status == 401
    answers = [worker.fetch("/", headers={"x-api-key": "k"}) for _ in range(5)]
    assert answers[0].json() == {"key": "k", "country": "US"}
    assert [answer.status for answer in answers].count(200) in (3, 4)  # a minute may begin meanwhile
    assert worker.fetch("/", headers={"x-api-key": "other"}).status == 200


def test_a_page_is_rewritten(started: Started) -> None:
    worker = started("rewriter")
    text = worker.fetch("/").text()
    assert "<title>Untitled &lt;1&gt;</title><meta name=made content=here>" in text
    assert '<a href="https://example.com/about" rel="noopener">About</a>' in text
    assert '<a href="https://other.example/" rel="noopener">' in text
    assert "secret" not in text
    assert worker.fetch("/style.css").text() == "body { margin: 0 }\n"


def test_a_socket_echoes(started: Started) -> None:
    worker = started("echo")
    assert worker.fetch("/").status == 426
    with connect(worker.url.replace("http", "ws")) as socket:
        socket.send("one")
        assert socket.recv(10) == "1: one"
        socket.send("bye")
        with pytest.raises(ConnectionClosedOK) as closed:
            socket.recv(10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "2 messages")


def test_a_counter_for_each_name(started: Started) -> None:
    worker = started("counter")
    assert [worker.fetch(path).text() for path in ("/a", "/a/2", "/a/3", "/b/1", "/a")] == ["0", "2", "5", "1", "5"]


def test_events_that_a_client_goes_on_with(started: Started) -> None:
    worker = started("sse")
    answer = worker.fetch("/")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.events() == [f"{number} of 5" for number in range(1, 6)]
    assert worker.fetch("/", headers={"last-event-id": "3"}).events() == ["4 of 5", "5 of 5"]
    assert re.search(r"^id: 1\nevent: tick\n", answer.text())
