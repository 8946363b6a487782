"""``pilot run``: an answer for a script, and a chat for a person at a terminal, which is a real one here."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from terminals import PILOT, block, typed

LLAMA = "@cf/meta/llama-2-7b-chat-int8"
SLOW = '"own/slow":\n  engine: echo\n  echo: {rate: 20, tokens: 5000}\n'


def test_the_blocks_of_the_docs(tmp_path: Path) -> None:
    for words in block("pilot run"):
        *words, last = words
        if words[-1] == "<":
            assert typed(tmp_path, *words[:-1], "--engine", "echo", stdin="a note\n").endswith("a note\n")
        elif last != "llama-2-7b-chat-int8":
            assert typed(tmp_path, *words, last, "--engine", "echo")


def test_one_answer_of_a_real_model(tmp_path: Path) -> None:
    words = (LLAMA, "Say", "hello", "--temperature", "0", "--max-tokens", "8")
    out = typed(tmp_path, "run", *words)
    assert out.strip()
    answer = json.loads(typed(tmp_path, "run", *words, "--json"))
    assert answer["response"] == out.removesuffix("\n")
    assert (answer["engine"], answer["answered_by"]) == ("llamacpp", "SmolLM2-135M-Instruct")
    assert 0 < answer["usage"]["completion_tokens"] <= 8
    assert answer["usage"]["prompt_tokens"] > 1


def test_standard_input(tmp_path: Path) -> None:
    assert typed(tmp_path, "run", LLAMA, "--engine", "echo", stdin="hi\nthere\n") == "hi there\n"
    assert typed(tmp_path, "run", LLAMA, "of it:", "-", "--engine", "echo", stdin="hi\n") == "of it: hi\n"
    assert typed(tmp_path, "run", "llama-2-7b-chat-int8", "typed", "--engine", "echo", stdin="not read") == "typed\n"
    assert "the prompt is empty" in typed(tmp_path, "run", LLAMA, code=2, stdin="\n")


def test_the_projects_settings_count(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "w"\n[pilot]\nengine = "echo"\n')
    (tmp_path / "models.yaml").write_text('"own/m":\n  echo: {tokens: 3}\n')
    answer = json.loads(typed(tmp_path, "run", "own/m", "one", "--json"))
    assert (answer["response"], answer["usage"]["completion_tokens"]) == ("one one one", 3)


def test_embeddings_are_json(tmp_path: Path) -> None:
    assert json.loads(typed(tmp_path, "run", "bge-small-en-v1.5", "hi"))["shape"] == [1, 384]


@pytest.mark.parametrize(("words", "says"), [
    (["lama-2-7b-chat", "x"], "Did you mean @cf/meta/llama-2-7b-chat-int8"),
    (["lama-2", "x"], "Did you mean @cf/meta/llama-2-7b-chat-int8"),
    (["zzzzz", "x"], "pilot models"),
    (["@cf/openai/whisper", "x"], "no configured engine serves the task Automatic Speech Recognition"),
    ([LLAMA, "x", "--engine", "lamacpp"], "did you mean 'llamacpp'?"),
    (["own/gone", "x"], "gone.gguf"),
    (["own/speech", "x"], "pilot run asks for text and embeddings"),
])  # fmt: skip
def test_what_cannot_be_asked(tmp_path: Path, words: list[str], says: str) -> None:
    speech = (
        '"own/speech":\n  task: Automatic Speech Recognition\n  openai: {model: w, base_url: "http://127.0.0.1:9"}\n'
    )
    gone = '"own/gone":\n  engine: llamacpp\n  llamacpp: {model: ./gone.gguf}\n'
    (tmp_path / "models.yaml").write_text(speech + "  engine: openai\n" + gone)
    out = typed(tmp_path, "run", *words, code=3)
    assert says in out
    assert len(set(out.splitlines())) == len(out.splitlines())  # it is said once
    assert "Traceback" not in out


def test_ctrl_c_ends_the_answer_and_the_model(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(SLOW)
    with subprocess.Popen([*PILOT, "run", "own/slow", "hi"], cwd=tmp_path, stdout=subprocess.PIPE) as pilot:
        assert pilot.stdout is not None
        assert os.read(pilot.stdout.fileno(), 2) == b"hi"
        pilot.send_signal(signal.SIGINT)
        assert pilot.wait(30) == 130


class Terminal:
    """A pseudo-terminal with a ``pilot`` at it."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._screen, end = pty.openpty()
        self._process = subprocess.Popen(
            [*PILOT, *words], cwd=folder, stdin=end, stdout=end, stderr=end, start_new_session=True,
            env={**os.environ, "TERM": "dumb"}, preexec_fn=_controlling,
        )  # fmt: skip
        os.close(end)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._screen, 4096):
                self.text += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", data.decode("utf-8", "replace"))
        except OSError:  # it left
            pass

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def sees(self, text: str, times: int = 1) -> None:
        end = time.monotonic() + 60
        while self.text.count(text) < times:
            assert time.monotonic() < end, f"{text!r} is not on the screen:\n{self.text}"
            time.sleep(0.01)

    def left(self) -> int:
        return self._process.wait(30)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        os.close(self._screen)


def _controlling() -> None:
    """So that Ctrl-C, typed, becomes a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def terminal(folder: Path, *words: str) -> Iterator[Terminal]:
    screen = Terminal(folder, *words)
    try:
        yield screen
    finally:
        screen.close()


class Upstream(BaseHTTPRequestHandler):
    """An OpenAI-compatible server: it says how many messages came, and keeps them."""

    asked: list[list[dict[str, Any]]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body["messages"])
        text = f"heard {len(body['messages'])}\x1b[31m!"
        chunks = [
            {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
        ]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"data: " + json.dumps({"id": "1", "model": "m", **chunk}).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[list[list[dict[str, Any]]]]:
    Upstream.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        (tmp_path / "models.yaml").write_text(
            f'"own/m":\n  engine: openai\n  openai: {{model: m, base_url: "{url}"}}\n'
        )
        yield Upstream.asked
        server.shutdown()


def test_a_chat_remembers(tmp_path: Path, upstream: list[list[dict[str, Any]]]) -> None:
    with terminal(tmp_path, "run", "own/m", "--system", "be brief") as screen:
        screen.sees(">>> ")
        screen.type("first\n")
        screen.sees("heard 2\\x1b[31m!")  # a model writes nothing that a terminal obeys
        screen.type('"""two\nlines"""\n')
        screen.sees("heard 4")
        screen.type("/clear\n")
        screen.sees("it is forgotten")
        screen.type("third\n")
        screen.sees("heard 2", 2)
        screen.type("/help\n")
        screen.sees("end an answer")
        screen.type("\x04")
        assert screen.left() == 0
    system = {"role": "system", "content": "be brief"}
    assert [[(one["role"], one["content"].replace("\x1b", "")) for one in asked] for asked in upstream] == [
        [("system", "be brief"), ("user", "first")],
        [("system", "be brief"), ("user", "first"), ("assistant", "heard 2[31m!"), ("user", "two\nlines")],
        [("system", "be brief"), ("user", "third")],
    ]
    assert all(asked[0] == system for asked in upstream)


def test_ctrl_c_ends_an_answer_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(SLOW)
    with terminal(tmp_path, "run", "own/slow") as screen:
        screen.sees(">>> ")
        screen.type("again\n")
        screen.sees("again again again")
        screen.type("\x03")
        screen.sees("(ended)")
        screen.sees(">>> ", 2)
        screen.type("\x03")
        screen.sees("Ctrl-D or /bye leaves")
        screen.type("more\n")
        screen.sees("more more more")
        screen.type("\x03")
        screen.sees("(ended)", 2)
        screen.type("/bye\n")
        assert screen.left() == 0


def test_the_oldest_turns_make_room(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text('"own/small":\n  engine: echo\n  echo: {context_window: 12}\n')
    with terminal(tmp_path, "run", "own/small") as screen:
        for number in range(5):
            screen.sees(">>> ", number + 1)
            screen.type(f"one two three {number}\n")
            screen.sees(f"\none two three {number}\n")
        screen.sees(">>> ", 6)
        screen.type(" ".join(map(str, range(20))) + "\n")
        screen.sees("exceeded this model context window limit (12)")
        screen.sees(">>> ", 7)
        screen.type("\x04")
        assert screen.left() == 0
