"""Workers that keep things: in D1, KV, R2, queues, Vectorize."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from collections.abc import Callable

import pytest
from PIL import Image

from runtime.testing import Worker

pytestmark = pytest.mark.e2e
Started = Callable[..., Worker]
Until = Callable[[Callable[[], object], object], None]


def test_notes_are_found_by_meaning(started: Started) -> None:
    worker = started("rag")
    index = {"name": "notes", "config": {"dimensions": 384, "metric": "cosine"}}
    token = {"authorization": "Bearer anything"}
    assert worker.fetch("/client/v4/accounts/local/vectorize/v2/indexes", json=index, headers=token).status == 200
    texts = ("The kettle is in the kitchen", "Rent is due on Monday")
    assert [worker.fetch("/notes", json={"text": text}).json() for text in texts] == [{"id": 1}, {"id": 2}]
    answer = worker.fetch("/ask", json={"text": "Rent is due on Monday"}).json()
    assert answer["sources"] == ["Rent is due on Monday"]
    assert answer["answer"]
    assert worker.fetch("/").status == 404


def test_images_and_their_thumbnails(started: Started) -> None:
    worker, sent = started("image"), io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(sent, "PNG")
    put = worker.fetch("/cat.png", "PUT", body=sent.getvalue(), headers={"content-type": "image/png"})
    assert (put.status, put.json()) == (201, {"width": "64", "height": "48"})
    got = worker.fetch("/cat.png")
    assert (got.body, got.headers["content-type"]) == (sent.getvalue(), "image/png")
    first, second = worker.fetch("/thumb/cat.png"), worker.fetch("/thumb/cat.png")
    assert (first.headers["x-made"], second.headers["x-made"]) == ("now", "before")
    with Image.open(io.BytesIO(second.body)) as image:
        assert (image.size, image.format) == ((32, 24), "WEBP")
    assert worker.fetch("/thumb/dog.png").status == 404


def test_webhooks_that_are_signed(started: Started, until: Until) -> None:
    worker = started("webhook")
    body = json.dumps({"repository": {"full_name": "a/b"}}).encode()
    signature = "sha256=" + hmac.new(b"shh", body, hashlib.sha256).hexdigest()
    headers = {"x-github-event": "push", "x-github-delivery": "1", "x-hub-signature-256": signature}
    assert worker.fetch("/", body=body, headers={**headers, "x-hub-signature-256": "sha256=no"}).status == 403
    assert [worker.fetch("/", body=body, headers=headers).status for _ in range(2)] == [202, 202]
    until(lambda: worker.fetch("/").status, 200)
    until(lambda: worker.fetch("/").json(), [{"event": "push", "repository": "a/b"}])


def test_orders_in_batches_and_a_dead_one(started: Started, until: Until) -> None:
    worker = started("queue")
    orders = [{"id": "a", "amount": 1}, {"id": "b", "amount": -1}, {"id": "c", "amount": 2}]
    assert worker.fetch("/", json=orders).json() == {"queued": 3}
    until(lambda: worker.fetch("/").json(), {"a": "2 after 1", "b": "dead", "c": "4 after 1"})


def test_short_links(started: Started, until: Until) -> None:
    worker = started("shortener")
    assert worker.fetch("/", json={"url": "https://example.com/a"}).status == 403
    made = worker.fetch("/", json={"url": "https://example.com/a"}, headers={"authorization": "Bearer token"})
    assert (made.status, made.headers["content-type"]) == (201, "application/json")
    went = worker.fetch(f"/{made.json()['code']}")
    assert (went.status, went.headers["location"]) == (302, "https://example.com/a")
    until(lambda: worker.fetch("/stats").json(), [{"url": "https://example.com/a", "hits": 1}])
    assert worker.fetch("/nothing").status == 404


def test_a_report_each_morning(started: Started) -> None:
    worker = started("report")
    assert worker.fetch("/", json=[1, 2.5]).status == 204
    assert worker.fetch("/cdn-cgi/local/scheduled?cron=0+6+*+*+*").status == 200
    [report] = worker.fetch("/").json()
    assert (report["count"], report["sum"], report["cron"]) == (2, 3.5, "0 6 * * *")
