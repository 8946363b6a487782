"""The error page: safe, self-contained, and gone by itself in a real browser once the code is mended."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runtime.errors import ScriptError, UserError
from runtime.supervisor.http.pages import ERROR_HEADER, PROBE_HEADER, error_page, error_text, wants_html

BROKEN = ScriptError(
    "SyntaxError: invalid syntax", where="entry.py, line 3", remedy="Close it.", trace="Traceback: def f(:"
)


def test_says_what_where_remedy_and_trace() -> None:
    for make in (error_page, error_text):
        text = make("Not loaded", BROKEN, "", "abc123").decode()
        for part in ("Not loaded", "invalid syntax", "entry.py, line 3", "Close it.", "def f(:", "abc123"):
            assert part in text


def test_a_given_trace_wins() -> None:
    assert b"other trace" in error_page("t", BROKEN, "other trace")
    assert b"def f(:" not in error_text("t", BROKEN, "other trace")


def test_everything_is_escaped() -> None:
    evil = "</pre><script>alert(1)</script>\"'{style}"
    page = error_page(evil, ScriptError(evil, where=evil, remedy=evil, trace=evil), "", evil).decode()
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") == 7
    assert page.count("{style}") == 7


def test_self_contained() -> None:
    page = error_page("t", BROKEN).decode()
    assert "http" not in page
    assert "src=" not in page
    assert "@import" not in page


def test_text_that_is_not_unicode() -> None:
    assert b"\\ud800" in error_page("t", "half \ud800 a pair")
    assert b"\\ud800" in error_text("t", UserError("half \ud800 a pair"))


def test_our_own_failure_does_not_promise_to_heal() -> None:
    page = error_page("Internal error", "Something failed.", "", "abc123").decode()
    assert "reloads" not in page
    assert "<script>" not in page


@pytest.mark.parametrize(("accept", "html"), [
    ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", True),
    ("application/json, text/html;q=0.5", True),
    ("TEXT/HTML", True),
    ("*/*", False),
    ("", False),
    ("text/*", False),
    ("text/event-stream", False),
    ("application/json", False),
    ("text/html;q=0", False),
    ("text/html; q=0.0", False),
    ("text/html;level=1;q=0.1", True),
])  # fmt: skip
def test_wants_html(accept: str, html: bool) -> None:
    assert wants_html(accept) is html


class Worker(BaseHTTPRequestHandler):
    """Answers with the error page until ``mended`` is set, as the supervisor does."""

    mended: threading.Event
    probes: list[str | None]

    def do_GET(self) -> None:
        broken = error_page("Not loaded", BROKEN, version=7)
        body = b"<h1>all is well</h1>" if self.mended.is_set() else broken
        self.send_response(200 if self.mended.is_set() else 500)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        if not self.mended.is_set():
            self.send_header(ERROR_HEADER, "1")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.probes.append(self.headers[PROBE_HEADER])
        self.do_GET()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Worker.mended, Worker.probes = threading.Event(), []
    with ThreadingHTTPServer(("127.0.0.1", 0), Worker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


async def test_a_browser_reloads_once_the_code_is_mended(server: ThreadingHTTPServer) -> None:
    from playwright.async_api import async_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = await browser.new_page()
            await page.goto(f"http://127.0.0.1:{server.server_address[1]}/some/path?x=1")
            assert "entry.py, line 3" in await page.inner_text("main")
            async with page.expect_request(lambda request: request.method == "HEAD"):
                pass
            assert "Not loaded" in await page.inner_text("main")
            Worker.mended.set()
            await page.wait_for_selector("text=all is well")
        finally:
            await browser.close()
    assert set(Worker.probes) == {"7"}
