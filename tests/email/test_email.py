"""Mail, through a worker: what it sends and is told, what comes in, what is kept, also by a server that is killed."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import io
import json
import os
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bindings.email import store
from bindings.email.store import Mailbox
from bindings.storage.resources import About
from crashes import kill_again_and_again
from hosting import hosting, worker
from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENTRY = Path(__file__).with_name("email_worker.py").read_text("utf-8")
CONFIG = """
[[send_email]]
name = "MAIL"

[[send_email]]
name = "ONE"
destination_address = "one@example.com"

[[send_email]]
name = "SOME"
allowed_destination_addresses = ["a@example.com", "b@example.com"]
allowed_sender_addresses = ["me@example.com"]
"""
KILLS = int(os.environ.get("KILLS", "3"))
KEPT = "/client/v4/accounts/a/email/kept/test"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("mail")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as served:
        yield served


def mail(subject: str = "Hello", body: str = "text", **headers: str | None) -> bytes:
    """None takes a header away."""
    head = {"From": "me@example.com", "To": "you@example.com", "Subject": subject, "Message-ID": "<1@example.com>"}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**head, **headers}.items() if value]
    return ("".join(lines) + "\r\n" + body).encode()


async def send(pilot: Served, content: Any, binding: str = "MAIL", **query: str) -> tuple[int, str]:
    data = io.BytesIO(content) if isinstance(content, bytes) else json.dumps(content)
    return await pilot.ask("/", "POST", data=data, params={"binding": binding, **query})


def kept(pilot: Served, state: str = ".pilot/state/email/test") -> list[Path]:
    return sorted((pilot.folder / state).glob("*.eml"))


def newest(pilot: Served) -> Any:
    return email.message_from_bytes(kept(pilot)[-1].read_bytes(), policy=email.policy.default)


@pytest.mark.parametrize("how", ["stream", "text"])
async def test_a_message_is_kept_as_it_is(pilot: Served, how: str) -> None:
    content = mail("Grüße", f"text by {how}", From="Me <me@example.com>")
    found = await send(pilot, content, **{"from": "me@example.com", "to": "you@example.com", "as": how})
    assert found == (200, '{"messageId":"<1@example.com>"}')
    lines = b"Return-Path: <me@example.com>\r\nDelivered-To: you@example.com\r\nX-Pilotlight-Mail: sent\r\n"
    assert kept(pilot)[-1].read_bytes() == lines + content
    await pilot.says("email sent: me@example.com to you@example.com: Grüße   .pilot/state/email/test/")


REFUSED = [  # binding, from, to, headers, what it says
    ("ONE", "me@example.com", "two@example.com", {}, "email to two@example.com not allowed"),
    ("SOME", "me@example.com", "c@example.com", {}, "email to c@example.com not allowed"),
    ("SOME", "he@example.com", "a@example.com", {"From": "he@example.com"}, "email from he@example.com not allowed"),
    ("MAIL", "he@example.com", "a@example.com", {}, "From: header does not match mail from"),
    ("MAIL", "me@example.com", "a@example.com", {"From": None}, "From: header does not match mail from"),
    ("MAIL", "me@example.com", "a@example.com", {"Message_ID": None, "Message-ID": None}, "invalid message-id"),
    ("MAIL", "me@example.com", "a@example.com", {"Received": "by me"}, "invalid headers set"),
]  # fmt: skip


@pytest.mark.parametrize(("binding", "sender", "to", "headers", "text"), REFUSED, ids=lambda value: str(value)[:40])
async def test_what_may_not_leave(
    pilot: Served, binding: str, sender: str, to: str, headers: dict[str, Any], text: str
) -> None:
    before = len(kept(pilot))
    assert await send(pilot, mail(**headers), binding, **{"from": sender, "to": to}) == (400, f"Error: {text}")
    assert len(kept(pilot)) == before


async def test_what_is_allowed_leaves(pilot: Served) -> None:
    for binding, to in (("ONE", "one@example.com"), ("SOME", "b@example.com")):
        assert (await send(pilot, mail(), binding, **{"from": "me@example.com", "to": to}))[0] == 200


async def test_too_large(pilot: Served) -> None:
    content = mail(body="x" * (25 * 1024 * 1024))
    found = await send(pilot, content, **{"from": "me@example.com", "to": "a@example.com"})
    assert found == (400, "Error: the message has more than 25 MiB")
    head = mail(**{f"X-{number}": "x" * 900 for number in range(400)})
    status, text = await send(pilot, head, **{"from": "me@example.com", "to": "a@example.com"})
    assert (status, text) == (400, "Error: could not parse email: the headers take more than 256 KB")


BUILDER = {
    "from": {"email": "me@example.com", "name": "Zoë"},
    "to": ["you@example.com", {"email": "she@example.com", "name": "She, of course"}],
    "cc": "Third <third@example.com>", "bcc": "secret@example.com", "replyTo": "back@example.com",
    "subject": "Grüße", "text": "plain ü", "html": "<p>rich ü</p>", "headers": {"X-Own": "1", "Subject": "not this"},
    "attachments": [{"filename": "a.png", "type": "image/png", "disposition": "inline", "contentId": "pic",
                     "content": base64.b64encode(b"\x89PNG").decode()},
                    {"filename": "b.txt", "type": "text/plain", "disposition": "attachment", "content": "no base64!"}],
}  # fmt: skip


async def test_a_message_is_built(pilot: Served) -> None:
    status, text = await send(pilot, BUILDER)
    assert status == 200, text
    found = newest(pilot)
    message_id = json.loads(text)["messageId"]
    assert found["message-id"] == message_id
    assert len(message_id) == len("<@example.com>") + 36
    assert found["delivered-to"] == "you@example.com, she@example.com, third@example.com, secret@example.com"
    assert [one.addr_spec for one in found["to"].addresses] == ["you@example.com", "she@example.com"]
    assert found["from"].addresses[0].display_name == "Zoë"
    assert (found["subject"], found["x-own"], found["reply-to"]) == ("Grüße", "1", "back@example.com")
    assert "bcc" not in found
    assert found.get_body(("plain",)).get_content().strip() == "plain ü"
    assert found.get_body(("html",)).get_content().strip() == "<p>rich ü</p>"
    parts = {part.get_filename(): part for part in found.walk() if part.get_filename()}
    assert parts["a.png"].get_content() == b"\x89PNG"
    assert (parts["a.png"]["content-id"], parts["a.png"].get_content_disposition()) == ("<pic>", "inline")
    assert parts["b.txt"].get_payload(decode=True) == b"no base64!"


WRONG = [
    ({"to": "a@example.com", "subject": "x"}, "required field `from`"),
    ({"from": "me@example.com", "subject": "x", "to": []}, "a message has 1 to 50 recipients, not 0"),
    ({"from": "me@example.com", "subject": "x", "to": ["a@b.c"] * 51}, "a message has 1 to 50 recipients, not 51"),
    ({"from": "me@example.com", "subject": "x", "to": "nobody"}, "'nobody' is not an email address"),
    ({"from": "me@b.c\r\nBcc: x@b.c", "subject": "x", "to": "a@b.c"}, "is not an email address"),
    ({"from": "me@example.com", "subject": "x\r\nBcc: y", "to": "a@example.com"}, "the message cannot be made"),
    ({"from": "me@example.com", "subject": "x", "to": "a@b.c", "headers": {"X-A\n": "b"}}, "cannot be made"),
    ({"from": "me@example.com", "subject": 5, "to": "a@example.com"}, "Expected `str`, got `int` - at `$.subject`"),
]  # fmt: skip


@pytest.mark.parametrize(("builder", "text"), WRONG, ids=lambda value: str(value)[:40])
async def test_what_cannot_be_built(pilot: Served, builder: dict[str, Any], text: str) -> None:
    status, said = await send(pilot, builder)
    assert status == 400
    assert text in said, said


async def test_a_builders_recipients_are_checked_too(pilot: Served) -> None:
    builder = {"from": "me@example.com", "subject": "x", "text": "x", "to": "a@example.com", "cc": "z@example.com"}
    assert await send(pilot, builder, "SOME") == (400, "Error: email to z@example.com not allowed")
    assert (await send(pilot, {**builder, "cc": "b@example.com"}, "SOME"))[0] == 200


async def come_in(pilot: Served, content: bytes, path: str = "/cdn-cgi/local/email", **query: str) -> tuple[int, str]:
    params = {"from": "me@example.com", "to": "you@example.com", **query}
    return await pilot.ask(path, "POST", data=io.BytesIO(content), params=params)


@pytest.mark.parametrize("path", ["/cdn-cgi/local/email", "/cdn-cgi/handler/email"])
async def test_a_message_comes_in(pilot: Served, path: str) -> None:
    assert await come_in(pilot, mail("hi"), path) == (200, "Worker successfully processed email")
    assert newest(pilot)["x-pilotlight-mail"] == "received"


async def test_a_worker_without_a_handler(pilot: Served) -> None:
    assert await pilot.save(ENTRY.replace("async def email(", "async def no_email("))
    text = "Worker does not export an email() handler; message stored without delivery."
    assert await come_in(pilot, mail("hi")) == (200, text)
    assert await pilot.save(ENTRY)


async def test_the_command_that_is_shown_brings_mail(pilot: Served) -> None:
    docs = (Path(__file__).parents[2] / "docs/bindings/email.md").read_text("utf-8")
    block = re.search(r"^```sh\n(curl [^`]*cdn-cgi/local/email.*?)```", docs, re.MULTILINE | re.DOTALL)
    assert block
    command = block[1].replace("http://localhost:8787", pilot.url)
    process = await asyncio.create_subprocess_exec("bash", "-c", command, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert out.decode() == "Worker successfully processed email", err


INVALID = "Invalid email. Your request must include URL parameters specifying the `from` and `to` addresses, as well as"


async def test_what_is_no_message(pilot: Served) -> None:
    for content, query in ((b"", {}), (mail(), {"from": ""}), (mail(), {"to": ""})):
        assert await come_in(pilot, content, **query) == (400, f"{INVALID} an email in the body")
    without_id = (400, "Email could not be parsed: invalid or no message id provided")
    assert await come_in(pilot, mail(**{"Message-ID": None})) == without_id
    assert await come_in(pilot, b"hello") == without_id
    status, text = await come_in(pilot, mail(body="x" * (25 * 1024 * 1024)))
    assert (status, text) == (400, "Email message size is bigger than the production size limit of 25MiB.")


async def test_the_worker_reads_it_and_rejects_it(pilot: Served) -> None:
    head = "Worker rejected email with the following reason: "
    assert await come_in(pilot, mail("reject")) == (400, f"{head}go away")
    long = "0123456789" * 100_000 + "!last"
    assert await come_in(pilot, mail("read", long)) == (400, f"{head}me@example.com you@example.com b'!last'")
    _, text = await come_in(pilot, mail("reject"), format="json")
    assert json.loads(text) == {"outcome": "ok", "rejectReason": "go away", "forwards": [], "replies": []}


async def test_the_envelope_may_differ_and_it_says_so(pilot: Served) -> None:
    assert (await come_in(pilot, mail("hi"), **{"from": "x@example.com", "to": "y@example.com"}))[0] == 200
    await pilot.says("header: x@example.com, me@example.com")
    await pilot.says("header in the email message: y@example.com, you@example.com")


async def test_forwarding(pilot: Served) -> None:
    status, text = await come_in(pilot, mail("forward"), format="json")
    [forward] = json.loads(text)["forwards"]
    assert (status, forward["recipient"], forward["headers"]) == (200, "team@example.com", [["X-Seen", "yes"]])
    found = newest(pilot)
    assert (found["x-pilotlight-mail"], found["delivered-to"], found["x-seen"]) == (
        "forward",
        "team@example.com",
        "yes",
    )
    status, text = await come_in(pilot, mail("forward badly"))
    assert status == 500
    assert "'no address' is not an email address" in text


async def test_replying(pilot: Served) -> None:
    assert (await come_in(pilot, mail("reply {}")))[0] == 200
    found = newest(pilot)
    assert (found["x-pilotlight-mail"], found["delivered-to"]) == ("reply", "me@example.com")
    assert (found["references"], found["in-reply-to"]) == ("<1@example.com>", "<1@example.com>")
    assert (await come_in(pilot, mail("builder")))[0] == 200
    found = newest(pilot)
    assert (found["subject"], found["references"]) == ("Re", "<1@example.com>")
    assert found.get_content().strip() == "hello"


REPLIES = [  # headers of what came in, of the reply → what is wrong
    ({"Auto_Submitted": "auto-replied"}, {}, "Original email is not replyable"),
    ({"X_Auto_Response_Suppress": "All"}, {}, "Original email is not replyable"),
    ({"In_Reply_To": "<0@x>"}, {}, "Original email is not replyable"),
    ({}, {"In-Reply-To": ""}, "no In-Reply-To header found in reply message"),
    ({}, {"In-Reply-To": "<2@x>"}, "In-Reply-To does not match original Message-ID"),
    ({}, {"References": "<2@x>"}, "provided References header is invalid"),
    ({}, {"From": "other@example.com"}, "From: header does not match mail from"),
    ({}, {"Message-ID": ""}, "invalid message-id"),
    ({}, {"Received": "by me"}, "invalid headers set"),
]


@pytest.mark.parametrize(("headers", "reply", "text"), REPLIES, ids=lambda value: str(value)[:40])
async def test_replies_that_are_none(pilot: Served, headers: dict[str, Any], reply: dict[str, str], text: str) -> None:
    status, said = await come_in(pilot, mail(f"reply {json.dumps(reply)}", **headers))
    assert (status, text in said) == (500, True), said


async def test_kept_mail_is_listed_and_read(pilot: Served) -> None:
    assert (await send(pilot, mail("listed"), **{"from": "me@example.com", "to": "you@example.com"}))[0] == 200
    status, text = await pilot.ask(KEPT, headers={"authorization": "Bearer x"})
    listed = json.loads(text)
    newest = listed["result"][0]
    assert (status, newest["subject"], newest["kind"], newest["sender"]) == (200, "listed", "sent", "me@example.com")
    assert listed["result_info"]["total_count"] == len(kept(pilot))
    _, raw = await pilot.ask(f"{KEPT}/{newest['name']}", headers={"authorization": "Bearer x"})
    assert raw.encode() == kept(pilot)[-1].read_bytes()
    for path in (f"{KEPT}/about.json", f"{KEPT}/..%2Fabout.json", "/client/v4/accounts/a/email/kept/nobody"):
        assert (await pilot.ask(path, headers={"authorization": "Bearer x"}))[0] == 404


async def test_a_page_of_another_site_brings_no_mail(pilot: Served) -> None:
    params = {"from": "me@example.com", "to": "you@example.com"}
    headers = {"origin": "https://evil.example"}
    status, _ = await pilot.ask("/cdn-cgi/local/email", "POST", data=mail("hi"), params=params, headers=headers)
    assert status == 403


async def test_a_handler_that_fails(pilot: Served) -> None:
    status, text = await come_in(pilot, mail("fail"))
    assert (status, "ValueError: not this one" in text) == (500, True)
    _, text = await come_in(pilot, mail("fail"), format="json")
    assert json.loads(text)["outcome"] == "exception"


async def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_MESSAGES", 3)
    box = Mailbox(tmp_path, About("test", "test", ""))
    for number in range(5):
        await box.keep("sent", "a@example.com", ["b@example.com"], mail(str(number)))
    rows, total = await box.listed(0, 10)
    assert ([row.subject for row in rows], total) == (["4", "3", "2"], 3)
    monkeypatch.setattr(store, "MAX_BYTES", 100)
    (tmp_path / "left.eml.part").write_bytes(b"half")
    box = Mailbox(tmp_path, About("test", "test", ""))
    await box.keep("sent", "a@example.com", ["b@example.com"], mail("last"))
    assert [path.suffix for path in tmp_path.iterdir()] == [".eml"]
    (tmp_path / ".gone").write_bytes(b"")
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="No space left"):
        await box.keep("sent", "a@example.com", ["b@example.com"], mail("none"))
    assert [path.suffix for path in tmp_path.iterdir() if path.name != ".gone"] == [".eml"]


def _full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


async def test_killed_in_mid_write_it_has_lost_nothing(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    state = tmp_path / ".pilot/state/email/test"

    async def sent(pilot: Served, number: int) -> bool:
        query = {"from": "me@example.com", "to": "you@example.com"}
        return (await send(pilot, mail(f"number {number}", "x" * 5000 + "end"), **query))[0] == 200

    async def lost(pilot: Served, tried: range, acknowledged: set[int]) -> set[int]:
        texts = [path.read_bytes() for path in state.glob("*.eml")]
        assert all(text.endswith(b"end") for text in texts)
        assert await sent(pilot, -1)  # the worker is there: what is killed is a write
        return acknowledged - {int(text.partition(b"number ")[2].split()[0]) for text in texts}

    assert await kill_again_and_again(tmp_path, KILLS, sent, lost)


@pytest.mark.parametrize(
    ("line", "text"),
    [("remote = true", "env.MAIL is remote, and Pilotlight keeps everything local"),
     ('destination_address = "a@b.c"\nallowed_destination_addresses = ["a@b.c"]', "has both destination_address and"),
     ("destination_address = 5", "destination_address")],
)  # fmt: skip
async def test_wrong_tables_are_told_at_start(tmp_path: Path, line: str, text: str) -> None:
    write(tmp_path, ENTRY, f'[[send_email]]\nname = "MAIL"\n{line}\n')
    with pytest.raises(AssertionError, match=text):
        async with serving(tmp_path):
            pass


async def test_on_a_host_it_is_kept_by_worker(tmp_path: Path) -> None:
    folder = worker(tmp_path / "one", ENTRY, CONFIG + '[images]\nbinding = "IMAGES"\n', name="one")
    async with hosting(tmp_path / "data") as host:
        await host.deploy(folder)
        query = {"binding": "SOME", "from": "me@example.com", "to": "a@example.com"}
        found = await host.get("one", "/", method="POST", params=query, data=mail("hosted"))
        assert found == (200, '{"messageId":"<1@example.com>"}')
        refused = await host.get("one", "/", method="POST", params={**query, "to": "z@example.com"}, data=mail())
        assert refused == (400, "Error: email to z@example.com not allowed")
        listed = await host.api("GET", "/client/v4/accounts/host/email/kept/one")
        assert [row["subject"] for row in listed[1]["result"]] == ["hosted"]
        stranger = {"authorization": "Bearer no"}
        assert (await host.ask("/client/v4/accounts/host/email/kept/one", headers=stranger))[0] == 403
        params = {"from": "a@example.com", "to": "b@example.com"}
        assert (await host.ask("/cdn-cgi/local/email", "POST", data=mail(), params=params))[0] == 404
        await host.cli("delete", "--purge", "--yes", cwd=folder)
        assert not list((tmp_path / "data").rglob("*.eml"))


SAYS = """
from workers import WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request): ...

    async def email(self, message):
        print("NAME has", message.to)
"""


async def test_of_several_workers_the_first_has_the_mail(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write(tmp_path / name, SAYS.replace("NAME", name), CONFIG)
        config = tmp_path / name / "wrangler.toml"
        config.write_text(config.read_text("utf-8").replace('"test"', f'"{name}"'))
    async with serving(tmp_path, "-c", "first/wrangler.toml", "-c", "second/wrangler.toml") as both:
        for number in range(2):
            to = f"{number}@example.com"
            assert await come_in(both, mail(), to=to) == (200, "Worker successfully processed email")
            await both.says(f"first has {to}")
        assert "second has" not in both.log()
        assert [path.parent.name for path in sorted(tmp_path.rglob("*.eml"))] == ["first"] * 2
