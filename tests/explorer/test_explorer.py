"""The explorer in a real browser: what happens, what is kept, and a chat."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from browsing import show_token
from hosting import hosting, worker
from serving import Served, serving, write

CONFIG = """
[[kv_namespaces]]
binding = "NOTES"
id = "notes"
[[d1_databases]]
binding = "DB"
database_name = "shop"
database_id = "0f"
[ai]
binding = "AI"
[vars]
MODE = "plain"
"""
ENTRY = """
from workers import Response, URL

async def fetch(request, env, ctx):
    path = URL(request.url).pathname
    print("<b>asked</b> for", path)
    if path == "/boom":
        raise ValueError("no luck")
    return Response("ok")
"""
MODELS = '"@cf/meta/llama-3.1-8b-instruct": {echo: {rate: 25, tokens: 200}}\n'
KEYS = "/client/v4/accounts/a/storage/kv/namespaces/notes"
ANY = {"authorization": "Bearer any"}


@pytest.fixture
async def pilot(tmp_path: Path) -> AsyncIterator[Served]:
    write(tmp_path, ENTRY, CONFIG, {"models.yaml": MODELS})
    async with serving(tmp_path) as pilot:
        yield pilot


async def look(page: Page, pilot: Served, place: str = "") -> None:
    await page.goto(f"{pilot.url}/__pilot/#{place}")


async def put(pilot: Served, pairs: list[dict[str, object]]) -> None:
    status, text = await pilot.ask(f"{KEYS}/bulk", "PUT", json=pairs, headers=ANY)
    assert status == 200, text


async def test_requests_and_their_lines_appear_as_they_come(pilot: Served, page: Page) -> None:
    outside: list[str] = []
    page.on("request", lambda request: None if request.url.startswith(pilot.url) else outside.append(request.url))
    await pilot.ask("/unseen")
    await look(page, pilot)
    rows = page.get_by_role("region", name="Requests and log lines").locator("tbody tr")
    await expect(rows).to_have_text(re.compile("asked</b> for /unseen"))  # what was printed before anybody looked
    await page.goto("about:blank")
    await pilot.ask("/before")
    await look(page, pilot)
    await expect(rows).to_have_count(3)
    await expect(rows.first).to_contain_text("/before")
    await pilot.ask("/boom")
    await expect(rows).to_have_count(6)
    await expect(rows.nth(0)).to_contain_text("500")
    await expect(rows.nth(1)).to_contain_text("ValueError: no luck")
    await expect(rows.nth(2)).to_contain_text("<b>asked</b> for /boom")  # text, never markup
    await expect(page.get_by_role("status")).to_have_text("2 requests")
    await page.get_by_label("Filter").fill("before")
    await expect(page.locator("tbody tr:visible")).to_have_count(2)
    await page.get_by_label("Filter").fill("")
    await page.get_by_role("button", name="Pause").click()
    await pilot.ask("/later")
    await expect(rows).to_have_count(6)
    await page.get_by_role("button", name="Go on").click()
    await expect(rows.first).to_contain_text("/later")
    assert [url for url in outside if not url.startswith("data:")] == []


async def test_nobody_waits_for_an_open_page_when_the_server_stops(tmp_path: Path, page: Page) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path, "--drain", "600") as pilot:
        await look(page, pilot)
        await expect(page.get_by_role("status")).to_have_text("0 requests")
        await pilot.ask("/one")
        await expect(page.get_by_role("status")).to_have_text("1 request")
        await pilot.stop()  # fails after seconds
        assert (await pilot.event("stopping"))["waiting"] == []
        await expect(page.get_by_role("status")).to_contain_text("trying again")
        url = pilot.url
    async with serving(tmp_path, port=("--port", url.rpartition(":")[2])) as pilot:
        await expect(page.get_by_role("status")).to_have_text("0 requests")  # of this life of the server
        await pilot.ask("/two")
        rows = page.get_by_role("region", name="Requests and log lines").locator("tbody tr")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("/two")


async def test_the_bindings_are_named_and_lead_to_what_they_keep(pilot: Served, page: Page) -> None:
    await look(page, pilot)
    nav = page.get_by_role("navigation")
    for name, what in {"NOTES": "KV namespace", "DB": "D1 database", "AI": "Workers AI", "MODE": "var"}.items():
        await expect(nav.get_by_role("link", name=f"env.{name}")).to_contain_text(what)
    await expect(nav.get_by_role("link", name="env.")).to_have_count(4)
    await nav.get_by_role("link", name="env.MODE").click()
    await expect(page.get_by_role("heading", name="env.MODE")).to_be_visible()
    await expect(page.get_by_role("main")).to_be_focused()
    await expect(nav.locator("[aria-current=page]")).to_contain_text("env.MODE")
    (pilot.folder / "wrangler.toml").write_text((pilot.folder / "wrangler.toml").read_text() + 'LATER = "x"\n')
    await pilot.event("reloaded")
    await nav.get_by_role("link", name="Requests").click()
    await expect(nav.get_by_role("link", name="env.LATER")).to_be_visible()


async def test_keys_are_browsed_changed_and_removed(pilot: Served, page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    many: list[dict[str, object]] = [{"key": f"user:{number:04}", "value": str(number)} for number in range(250)]
    odd: dict[str, object] = {"key": "a/<i>b</i> ?#%", "value": "<u>old</u>", "metadata": {"by": "<s>me</s>"}}
    await put(pilot, [*many, odd, {"key": "bytes", "value": "/wD+", "base64": True}])
    await look(page, pilot, "test/NOTES")
    rows = page.get_by_role("region", name="Keys").locator("tbody tr")
    await expect(rows).to_have_count(100)
    await page.get_by_role("button", name="More keys").click()
    await expect(rows).to_have_count(200)
    await page.get_by_label("Prefix").fill("user:02")
    await expect(rows).to_have_count(50)
    await expect(page.get_by_role("button", name="More keys")).to_be_hidden()
    await page.get_by_label("Prefix").fill("a/")
    await page.get_by_role("button", name="a/<i>b</i> ?#%").click()
    await expect(page.get_by_label("Value")).to_have_value("<u>old</u>")
    await expect(page.get_by_label("Value")).to_be_focused()
    await page.get_by_label("Value").fill("new")
    await page.get_by_label("Expires in seconds").fill("3600")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    path = f"{KEYS}/values/a%2F%3Ci%3Eb%3C%2Fi%3E%20%3F%23%25"
    assert await pilot.ask(path, headers=ANY) == (200, "new")
    [key] = json.loads((await pilot.ask(f"{KEYS}/keys?prefix=a/", headers=ANY))[1])["result"]
    assert (key["metadata"], "expiration" in key) == ({"by": "<s>me</s>"}, True)
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No key begins so.")).to_be_visible()
    assert (await pilot.ask(path, headers=ANY))[0] == 404
    await page.get_by_label("Prefix").fill("bytes")
    await page.get_by_role("button", name="bytes").click()
    await expect(page.get_by_label("Value")).to_have_value("ff 00 fe")
    await expect(page.get_by_role("button", name="Save")).to_be_hidden()


async def test_a_new_key_is_made_and_a_refusal_is_said(pilot: Served, page: Page) -> None:
    await look(page, pilot, "test/NOTES")
    await expect(page.get_by_text("No key begins so.")).to_be_visible()
    await page.get_by_role("button", name="New key").click()
    await page.get_by_label("Key", exact=True).fill("greeting")
    await page.get_by_label("Value").fill("hello")
    await page.get_by_label("Metadata").fill("{broken")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert").filter(has_text="JSON")).to_be_visible()
    await page.get_by_label("Metadata").fill('{"n": 1}')
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("region", name="Keys").locator("tbody tr")).to_have_text(re.compile("greeting"))
    assert await pilot.ask(f"{KEYS}/values/greeting", headers=ANY) == (200, "hello")


async def test_sql_gives_tables(pilot: Served, page: Page) -> None:
    await look(page, pilot, "test/DB")
    await expect(page.get_by_text("No table yet.")).to_be_visible()
    sql = page.get_by_label("SQL")
    await sql.fill("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, note TEXT);\n"
                   "INSERT INTO things VALUES (1, '<b>one</b>', NULL), (2, 'two', 'x')")  # fmt: skip
    await sql.press("Control+Enter")
    await page.get_by_role("button", name="things").click()
    cells = page.get_by_role("region", name="Result").locator("tbody td")
    await expect(cells).to_have_text(["1", "<b>one</b>", "NULL", "2", "two", "x"])
    await expect(page.get_by_role("columnheader")).to_have_text(["id", "name", "note"])
    await sql.fill("SELECT 1 FROM nowhere")
    await page.get_by_role("button", name="Run").click()
    await expect(page.get_by_role("alert").filter(has_text="no such table: nowhere")).to_be_visible()


async def test_an_answer_grows_and_can_be_stopped(pilot: Served, page: Page) -> None:
    await look(page, pilot, "test/AI")
    await expect(page.get_by_label("Model")).to_have_value("@cf/meta/llama-3.1-8b-instruct")
    await page.get_by_label("Question").fill("one two three four five")
    await page.keyboard.press("Enter")
    answer = page.locator(".turn.assistant")
    await expect(answer).to_contain_text("one two three")
    early = await answer.inner_text()
    await expect(answer).not_to_have_text(early)  # it goes on
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("stopped")).to_be_visible()
    request = await pilot.event("request", path="/client/v4/accounts/explorer/ai/run/@cf/meta/llama-3.1-8b-instruct")
    assert request["tokens"] < 200
    await page.goto(f"{pilot.url}/__pilot/#figures")
    await expect(page.get_by_role("region", name="Figures")).to_contain_text("pilot_ai_requests_total")
    await expect(page.get_by_role("region", name="engines")).to_contain_text("echo")


async def test_the_page_allows_no_script_of_another(pilot: Served) -> None:
    async with pilot.http.get(f"{pilot.url}/__pilot/") as answer:
        policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert (await pilot.ask("/__pilot/state"))[0] == 400  # no token
    assert (await pilot.ask("/__pilot/state", headers={**ANY, "origin": "https://evil.example"}))[0] == 403
    for path in ("page/routes.py", "page/nothing.js", "views/vars.js", "views/nothing.js"):
        assert (await pilot.ask(f"/__pilot/{path}"))[0] == 404
    async with pilot.http.get(f"{pilot.url}/__pilot", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (308, "/__pilot/")


async def test_an_address_of_others_has_no_explorer_without_a_token(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path, "--host", "0.0.0.0") as pilot:
        url = pilot.url.replace("0.0.0.0", "127.0.0.1")
        async with pilot.http.get(f"{url}/__pilot/") as answer:
            assert await answer.text() == "ok"  # the worker's


LOUD = """
from workers import Response

def fetch(request, env):
    print("one asks")
    return Response("ok", headers={"Service-Worker-Allowed": "/", "x-other": "kept"})
"""


async def test_on_a_host_a_token_that_may_read_looks_and_one_that_may_deploy_changes(
    tmp_path: Path, page: Page
) -> None:
    config = '[[kv_namespaces]]\nbinding = "NOTES"\nid = "notes"\n'
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "app", LOUD, config))
        create = ("host", "--data", str(host.data), "token", "create", "looker", "--scope", "read")
        reads = (await host.cli(*create)).strip()
        assert (await host.ask("/__pilot/state", headers={"authorization": "Bearer wrong"}))[0] == 403
        assert (await host.ask("/__pilot/events", headers={"authorization": "Bearer wrong"}))[0] == 403
        await page.goto(f"{host.url}/__pilot/")
        await show_token(page, reads)
        rows = page.get_by_role("region", name="Requests and log lines").locator("tbody tr")
        async with host.http.get(f"{host.url}/_w/app/") as answer:  # whose page shares the explorer's origin
            assert ("service-worker-allowed" in answer.headers, answer.headers["x-other"]) == (False, "kept")
        await expect(rows.filter(has_text="one asks")).to_contain_text("app")
        await page.get_by_role("link", name="env.NOTES").click()
        await page.get_by_role("button", name="New key").click()
        await page.get_by_label("Key", exact=True).fill("k")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert").filter(has_text="has no scope 'deploy'")).to_be_visible()
        await page.reload()  # which forgets the token
        await show_token(page, host.token)
        await page.get_by_role("button", name="New key").click()
        await page.get_by_label("Key", exact=True).fill("k")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("region", name="Keys")).to_contain_text("k")


async def test_vectors_are_found_by_id_by_numbers_and_by_filter(tmp_path: Path, page: Page) -> None:
    config = '[[vectorize]]\nbinding = "PIECES"\nindex_name = "pieces"\ndimensions = 2\nmetric = "cosine"\n'
    write(tmp_path, ENTRY, config)
    async with serving(tmp_path) as pilot:
        vectors = [
            {"id": f"v{number}", "values": [1, number], "metadata": {"title": f"<b>{number}</b>"}}
            for number in range(3)
        ]
        lines = "\n".join(json.dumps(vector) for vector in vectors)
        path = "/client/v4/accounts/a/vectorize/v2/indexes/pieces/upsert"
        assert (await pilot.ask(path, "POST", data=lines, headers=ANY))[0] == 200
        await look(page, pilot, "test/PIECES")
        await expect(page.locator("dd")).to_have_text(["3", "2"])
        await page.get_by_role("button", name="v1").click()
        await expect(page.locator(".card")).to_contain_text("<b>1</b>")
        await page.get_by_role("button", name="Nearest to this").click()
        rows = page.get_by_role("region", name="Matches").locator("tbody tr")
        await expect(rows.first).to_have_text(re.compile("^v11"))  # itself, with a score of 1
        await page.get_by_label("Nearest to").fill("[1, 0]")
        await page.get_by_role("button", name="Find").click()
        await expect(rows.first).to_have_text(re.compile("^v01"))
        await page.get_by_label("Nearest to").fill("[1]")
        await page.get_by_role("button", name="Find").click()
        await expect(page.get_by_role("alert").filter(has_text=re.compile("dimension", re.I))).to_be_visible()


PIXEL = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="7"><script>document.title = "owned"</script></svg>'


async def test_objects_are_browsed_looked_at_put_and_removed(tmp_path: Path, page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    write(tmp_path, ENTRY, '[[r2_buckets]]\nbinding = "FILES"\nbucket_name = "files"\n')
    async with serving(tmp_path) as pilot:
        path = "/client/v4/accounts/a/r2/buckets/files/objects"
        for key, body, kind in (
            ("pictures/dot.svg", PIXEL, "image/svg+xml"),
            ("pictures/old/x", b"x", "text/plain"),
            ("note", b"<b>bold</b>", "text/html"),
            ("long", b"\xc3\xa4" * 200_000, "text/plain"),
        ):
            put = await pilot.ask(f"{path}/{key}", "PUT", data=body, headers={**ANY, "content-type": kind})
            assert put[0] == 200
        await look(page, pilot, "test/FILES")
        rows = page.get_by_role("region", name="Objects").locator("tbody tr")
        await expect(rows).to_have_count(3)
        await page.get_by_role("button", name="note").click()
        await expect(page.locator("pre")).to_have_text("<b>bold</b>")
        await page.get_by_role("button", name="long").click()
        await expect(page.get_by_text("Its first 256 KB.")).to_be_visible()
        await page.get_by_role("button", name="pictures/", exact=True).click()
        await expect(rows).to_have_count(2)
        await page.get_by_role("button", name="pictures/dot.svg").click()
        picture = page.get_by_role("img", name="pictures/dot.svg")
        await expect(picture).to_have_js_property("naturalWidth", 9)
        assert "owned" not in await page.title()
        async with page.expect_download() as started:
            await page.get_by_role("button", name="Download").click()
        assert Path(await (await started.value).path()).read_bytes() == PIXEL
        new = {"name": "new.txt", "mimeType": "text/plain", "buffer": b"hello"}
        await page.get_by_label("Put a file here").set_input_files(files=[new])
        await expect(rows).to_have_count(3)
        assert await pilot.ask(f"{path}/pictures/new.txt", headers=ANY) == (200, "hello")
        await page.get_by_role("button", name="pictures/new.txt").click()
        await page.get_by_role("button", name="Delete").click()
        await expect(rows).to_have_count(2)
        await page.get_by_role("button", name="Up").click()
        await expect(rows).to_have_count(3)


async def test_kept_mail_is_listed_and_read(tmp_path: Path, page: Page) -> None:
    write(tmp_path, ENTRY, '[[send_email]]\nname = "MAIL"\n')
    async with serving(tmp_path) as pilot:
        await look(page, pilot, "test/MAIL")
        await expect(page.get_by_text("No message is kept yet.")).to_be_visible()
        for subject in ("<b>first</b>", "second"):
            raw = f"From: a@example.com\r\nTo: b@example.com\r\nSubject: {subject}\r\nMessage-ID: <1@x>\r\n\r\nhello"
            params = {"from": "a@example.com", "to": "b@example.com"}
            await pilot.ask("/cdn-cgi/local/email", "POST", data=raw, params=params)
        await page.get_by_role("button", name="Look again").click()
        rows = page.get_by_role("region", name="Messages").locator("tbody tr")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("second")
        await page.get_by_role("button", name="<b>first</b>").click()
        await expect(page.locator("pre")).to_contain_text("X-Pilotlight-Mail: received")
        await expect(page.locator("pre")).to_contain_text("hello")
