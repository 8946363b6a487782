"""What people and log collectors read: on a pipe, as JSON, and on a real pseudo-terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
import textwrap
from typing import Any

import pytest

from runtime.deploy.tail import pretty
from runtime.errors import ScriptError
from runtime.supervisor.observe import Observer, make_observer
from runtime.supervisor.observe.base import Banner, RequestRecord
from runtime.supervisor.observe.throttle import Throttle

BINDINGS = [("AI", "Workers AI", "llama.cpp"), ("TOKEN", "secret", "(hidden)")]
ENGINES = ["llama → SmolLM2 (stand-in)"]
IMPORTS = """
from runtime.supervisor.observe import make_observer
from runtime.supervisor.observe.base import RequestRecord
"""
Capture = pytest.CaptureFixture[str]


def everything(observer: Observer) -> None:
    observer.banner(
        Banner(
            version="0.1.0", url="http://localhost:8787/", name="chat", config_path="wrangler.toml", bindings=BINDINGS,
            remarks=ENGINES, warnings=["careful"],
        )
    )  # fmt: skip
    observer.ready("http://localhost:8787/")
    observer.request(RequestRecord("GET", "/stream", 200, 1434.2, first_ms=45.2, tokens=87, tokens_per_s=61.23))
    observer.request(RequestRecord("GET", "/boom", 500, 3.21, request_id="abc123"))
    observer.debug("a detail")
    observer.note("a note")
    observer.warn("a warning\nof two lines")
    observer.error("an error")
    observer.script_error(ScriptError("bad", where="entry.py, line 3", remedy="mend it", trace="Trace: x"))
    try:
        raise ValueError("ours")
    except ValueError as exc:
        observer.fault(exc, "def456")
    observer.worker_output("chat", "stdout", "  printed [bold]as is[/bold] \x1b[35m!\x1b[0m")
    observer.worker_output("chat", "stderr", "logged")
    observer.reloaded(8, 23.4, ["a.py", "b.py", "c.py", "d.py"])
    observer.progress("llama", "download", 0.5, "49 of 98 MB")
    observer.progress_done("llama", "llama ready")
    observer.importing("chat", "entry.py", 4, "pandas", "http://localhost:8787")
    observer.blocked(
        "chat",
        2,
        ["GET /a", "GET /a", "GET /b"],
        "entry.py, line 3, in fetch",
        '  File "entry.py", line 3, in fetch\n    spin()\n',
    )
    observer.stopping("SIGINT", ["GET /stream"], 30)
    observer.close()


def test_where_several_workers_speak_each_line_says_whose_it_is(capsys: Capture) -> None:
    observer = make_observer(None, "info")
    observer.several = True
    observer.request(RequestRecord("GET", "/a", 200, 1, worker="chat"))
    observer.request(RequestRecord("GET", "/b", 404, 1))
    observer.worker_output("chat", "stdout", "printed")
    observer.worker_output("chat", "stderr", "logged")
    observer.script_error(ScriptError("bad", where="entry.py, line 3"), "chat")
    out, err = capsys.readouterr()
    assert err == "chat │ logged\n"
    request, other, printed, error, *_ = out.splitlines()
    assert request.startswith("chat │   GET     /a ")
    assert other.startswith("  GET     /b ")
    assert (printed, error) == ("chat │ printed", "✘ chat │ entry.py, line 3: bad")


# --- plain ----------------------------------------------------------------------------------------------


def test_plain_lines(capsys: Capture) -> None:
    everything(make_observer(None, "info"))
    out, err = capsys.readouterr()
    assert err == "logged\n"
    assert "\x1b[35m!\x1b[0m" in out  # the worker's own colours
    assert "\x1b" not in out.replace("\x1b[35m!\x1b[0m", "")
    for line in (
        "    env.AI      Workers AI   llama.cpp",
        "    env.TOKEN   secret       (hidden)",
        "    llama → SmolLM2 (stand-in)",
        "▲ careful",
        "  GET     /stream                           200    1.43 s  first token 45 ms · 87 tokens · 61.2/s",
        "  GET     /boom                             500    3.2 ms  abc123",
        "  a note",
        "▲ a warning",
        "  of two lines",
        "✘ an error",
        "✘ entry.py, line 3: bad",
        "    mend it",
        "Trace: x",
        "✘ internal error, request def456",
        "ValueError: ours",
        "  printed [bold]as is[/bold] \x1b[35m!\x1b[0m",
        "  http://localhost:8787 answers once entry.py is imported",
        "  importing entry.py (4 s): pandas …",
        "▲ chat has blocked its event loop for 2 s at entry.py, line 3, in fetch",
        "  3 requests wait: GET /a, GET /b",
        '    File "entry.py", line 3, in fetch',
        "  Stopping: SIGINT",
        "  1 request is awaited for up to 30 s; Ctrl-C again ends it at once",
        "  GET /stream",
        "↻ reloaded in 23 ms  v8  a.py, b.py, c.py and 1 more",
        "  llama: download 50%  49 of 98 MB",
        "✓ llama ready",
    ):
        assert f"\n{line}\n" in out, line
    assert out.count("http://localhost:8787/") == 1
    assert "a detail" not in out


@pytest.mark.parametrize(("level", "shown", "hidden"), [
    ("debug", ["a detail", "a note"], []),
    ("warning", ["a warning", "an error", "/boom", "printed", "Ready on"], ["a note", "/stream", "env.AI"]),
    ("error", ["an error", "/boom", "printed", "Ready on"], ["a warning", "careful", "reloaded"]),
])  # fmt: skip
def test_levels(capsys: Capture, level: str, shown: list[str], hidden: list[str]) -> None:
    everything(make_observer(None, level))
    out = capsys.readouterr().out
    assert [text for text in shown if text not in out] == []
    assert [text for text in hidden if text in out] == []


def test_a_client_cannot_paint_the_terminal(capsys: Capture) -> None:
    observer = make_observer(None)
    observer.request(RequestRecord("GET\x07", "/\x1b[31m\n/fake 200", 200, 1, note="a\rb"))
    observer.close()
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert r"GET\x07" in out
    assert r"/\x1b[31m\n/fake" in out
    assert r"a\rb" in out


def test_an_answer_that_broke_off_is_an_error(capsys: Capture) -> None:
    for observer in (make_observer(None, "error"), make_observer("json", "error")):
        observer.request(RequestRecord("GET", "/", 200, 1, note="broke off"))
        observer.request(RequestRecord("GET", "/fine", 200, 1, note="client left"))
        observer.close()
    plain, line = capsys.readouterr().out.splitlines()
    assert plain.endswith("200    1.0 ms  broke off")
    assert json.loads(line)["level"] == "error"
    assert "\x1b[31mbroke off\x1b[0m" in on_a_terminal(
        'make_observer(None).request(RequestRecord("GET", "/", 200, 5, note="broke off"))', NO_COLOR=""
    )


def test_the_same_error_again_is_only_its_request(capsys: Capture) -> None:
    observer = make_observer(None)
    for what in ("one", "one", "two"):
        observer.script_error(ScriptError(what, trace="T"))
    observer.close()
    assert capsys.readouterr().out.splitlines() == ["✘ one", "", "T", "", "✘ two", "", "T", ""]


def test_lines_of_longer_paths_align(capsys: Capture) -> None:
    observer = make_observer(None)
    for path in ("/" + "x" * 40, "/short", "/" + "y" * 80, "/short"):
        observer.request(RequestRecord("GET", path, 200, 5))
    observer.close()
    starts = [line.index("200") for line in capsys.readouterr().out.splitlines()]
    assert starts[0] == starts[1] == starts[3] < starts[2]


def test_nor_through_what_an_error_quotes(capsys: Capture) -> None:
    observer, evil = make_observer(None, "debug"), "one\n\ttwo \x1b[31m\r\x9b"
    for say in (observer.debug, observer.note, observer.warn, observer.error):
        say(evil)
    observer.script_error(ScriptError(evil, where=evil, remedy=evil, trace=evil))
    observer.fault(ValueError(evil))
    observer.close()
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\r\x9b")
    assert out.count("\ttwo \\x1b[31m\\r\\x9b\n") == 7, out
    assert r"\ttwo" not in out


def test_progress_on_a_pipe_is_now_and_then(capsys: Capture) -> None:
    observer = make_observer(None)
    for percent in range(101):
        observer.progress("m", "download", percent / 100, "")
    observer.progress("m", "warm-up", None)
    observer.progress("m", "warm-up", None)
    observer.close()
    assert capsys.readouterr().out.splitlines() == [
        *(f"  m: download {percent}%" for percent in (0, 25, 50, 75, 100)),
        "  m: warm-up",
    ]


def test_throttle_starts_afresh_once_forgotten() -> None:
    throttle = Throttle(step=0.25, every_s=60)
    assert throttle.passes("m", "load", None)
    assert not throttle.passes("m", "load", None)
    throttle.forget("m")
    assert throttle.passes("m", "load", None)


# --- JSON -----------------------------------------------------------------------------------------------


def test_json_lines(capsys: Capture) -> None:
    everything(make_observer("json", "debug"))
    out, err = capsys.readouterr()
    assert err == ""
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    by_event = {line["event"]: line for line in lines}
    assert by_event["banner"]["bindings"][1] == {"name": "TOKEN", "what": "secret", "where": "(hidden)"}
    assert by_event["ready"]["url"] == "http://localhost:8787/"
    stream = next(line for line in lines if line["event"] == "request")
    assert stream.items() >= {"method": "GET", "path": "/stream", "status": 200, "tokens": 87}.items()
    assert "note" not in stream
    assert by_event["request"]["level"] == "error"
    assert by_event["script_error"]["where"] == "entry.py, line 3"
    assert by_event["fault"]["error"] == "ValueError: ours"
    assert [line["stream"] for line in lines if line["event"] == "output"] == ["stdout", "stderr"]
    assert by_event["reloaded"]["files"] == ["a.py", "b.py", "c.py", "d.py"]
    assert all({"time", "level", "event"} <= line.keys() for line in lines)


def test_json_ready_is_said_at_every_level(capsys: Capture) -> None:
    everything(make_observer("json", "error"))
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert "ready" in events
    assert "output" in events
    assert "reloaded" not in events


def test_json_of_text_that_is_not_unicode(capsys: Capture) -> None:
    observer = make_observer("json")
    observer.worker_output("w", "stdout", "half \ud800 a pair")
    observer.close()
    assert json.loads(capsys.readouterr().out)["text"] == "half \ud800 a pair"


# --- real terminals and pipes ---------------------------------------------------------------------------


def child(code: str) -> list[str]:
    return [sys.executable, "-c", IMPORTS + textwrap.dedent(code)]


def on_a_terminal(code: str, **env: str) -> str:
    """Run ``code`` on a pseudo-terminal 100 columns wide; what it wrote, as bytes arrived."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (40, 100))
    env = {**os.environ, "TERM": "xterm-256color", **env}
    env.pop("COLUMNS", None)
    seen = b""
    with subprocess.Popen(child(code), stdin=follower, stdout=follower, stderr=follower, env=env) as process:
        os.close(follower)
        while True:
            try:
                data = os.read(leader, 65536)
            except OSError:  # Linux says so when the last writer has left
                break
            if not data:
                break
            seen += data
    os.close(leader)
    assert process.returncode == 0, seen.decode()
    return seen.decode().replace("\r\n", "\n")


def screen(written: str, width: int = 100) -> list[str]:
    """What a terminal shows after ``written``: enough of one for lines, colours, cursor-up and erase-line."""
    rows, row, column = [""], 0, 0
    for control, letter, char in re.findall(r"\x1b\[([?\d;]*)([A-Za-z])|(.|\n)", written):
        if char == "\n":
            row, column = row + 1, 0
        elif char == "\r":
            column = 0
        elif char:
            if row >= len(rows):
                rows += [""] * (row - len(rows) + 1)
            rows[row] = f"{rows[row]:<{column}}"[:column] + char + rows[row][column + 1 :]
            column += 1
        elif letter == "A":
            row = max(row - int(control or 1), 0)
        elif letter == "K" and row < len(rows):
            rows[row] = ""
    return [line.rstrip() for line in rows]


def test_colour_on_a_terminal_only_where_it_is_wanted() -> None:
    code = 'make_observer(None).request(RequestRecord("GET", "/", 404, 5))'
    assert "\x1b[33m404\x1b[0m" in on_a_terminal(code, NO_COLOR="")
    assert "\x1b" not in on_a_terminal(code, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(code, TERM="dumb", NO_COLOR="")


LOADING = r"""
import time
observer = make_observer(None)
for step in range(5):
    observer.progress("one/model", "download", step / 4, f"{step} of 4 MB")
    observer.progress("two", "load", None)
    observer.worker_output("w", "stdout", f"printed {step} " + "x" * 60)
    time.sleep(0.3)
    observer.request(RequestRecord("GET", f"/{step}", 200, 1))
observer.progress_done("one/model", "one/model ready")
observer.progress_done("two", "two ready")
observer.note("the end")
observer.close()
"""


def test_live_progress_and_printed_lines_do_not_disturb_each_other() -> None:
    written = on_a_terminal(LOADING)
    assert "━" in written
    assert "4 of 4 MB" in written
    expected = []
    for step in range(5):
        expected += [f"printed {step} {'x' * 60}", f"  GET     /{step}{' ' * 31} 200    1.0 ms"]
    shown = [line for line in screen(written) if line]
    assert shown == [*expected, "✓ one/model ready", "✓ two ready", "  the end"]


def test_rich_is_not_imported_without_a_live_line() -> None:
    code = 'import sys\nmake_observer(None).note("x")\nassert "rich" not in sys.modules'
    on_a_terminal(code)


@pytest.mark.parametrize("log_format", ["None", "'json'"])
def test_a_reader_who_leaves_does_not_end_the_server(log_format: str) -> None:
    code = f"""
        import os, sys, time
        observer = make_observer({log_format})
        observer.note("first")
        sys.stdin.readline()            # the reader has closed its end by now
        for _ in range(3):
            observer.note("lost")
            time.sleep(0.05)
        observer.progress("m", "load", None)
        observer.close()
        os.write(2, b"still here")
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(child(code), stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(b"go on\n", timeout=30)
    assert (process.returncode, err) == (0, b"still here")


def test_a_stream_that_cannot_say_it_gets_an_escape() -> None:
    code = 'make_observer(None).warn("na\\u00efve \\U0001f525")'
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    out = subprocess.run(child(code), env=env, capture_output=True, check=True, timeout=30).stdout
    assert out == b"\\u25b2 na\\xefve \\U0001f525\n"


@pytest.mark.parametrize("log_format", ["None", "'json'"])
def test_a_reader_who_does_not_read_holds_nothing_up(log_format: str) -> None:
    """What waits is bounded; later it is told in order, with the number of lines that are missing."""
    code = f"""
        import os, sys
        observer = make_observer({log_format})
        for number in range(4000):
            observer.worker_output("w", "stdout", f"line {{number}} " + "x" * 10_000)
        os.write(2, b"not held up\\n")
        sys.stdin.readline()
        observer.note("the end")
        observer.close()
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(child(code), stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == b"not held up\n"
        numbers: list[int] = []
        lost = 0
        while len(numbers) + lost < 4000:
            line = process.stdout.readline()
            if match := re.search(rb"line (\d+)", line):
                numbers.append(int(match[1]))
            elif match := re.search(rb"(\d+) lines were dropped|\"lines\":(\d+)", line):
                lost += int(match[1] or match[2])
        process.stdin.write(b"go on\n")
        process.stdin.close()
        rest = process.stdout.read()
    assert numbers == sorted(numbers)
    assert lost > 100
    assert len(numbers) > 100
    assert b"the end" in rest


def test_an_unread_pipe_does_not_hold_up_the_exit() -> None:
    code = 'observer = make_observer(None)\nfor _ in range(300):\n    observer.note("x" * 1000)\nobserver.close()'
    with subprocess.Popen(child(code), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.wait(timeout=20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


PRINTED = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2Jgone\x9b1A \u202eright \x1b[1mbold"


def test_of_a_persons_own_worker_a_terminal_obeys_colours_alone(capsys: Capture) -> None:
    observer = make_observer(None, "info")
    observer.worker_output("chat", "stdout", PRINTED)
    observer.worker_output("chat", "stdout", "10 %\r50 %\r100 %\r")
    observer.close()
    out = capsys.readouterr().out
    assert out == ("\x1b[31mred\x1b[0m \\x1b]0;title\\x07\\x1b[2Jgone\\x9b1A \\u202eright \x1b[1mbold\x1b[0m\n100 %\n")


def test_of_a_hosts_workers_a_terminal_obeys_nothing(capsys: Capture) -> None:
    observer = make_observer(None, "info")
    observer.several = True
    observer.worker_output("chat", "stdout", PRINTED + "\ttab\rover")
    observer.close()
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\x9b\r\u202e")
    assert "\\x1b[31mred" in out
    assert "\ttab\\rover" in out


def test_nor_through_a_tail_or_json(capsys: Capture) -> None:
    evil = "a\x1b[2J\x9b"
    event = {
        "eventTimestamp": 0, "outcome": "exception", "event": {
            "request": {"method": evil, "url": evil}, "response": {"status": 500}},
        "logs": [{"level": evil, "message": [evil]}], "exceptions": [{"name": evil, "message": f"x\n{evil}"}],
    }  # fmt: skip
    shown = re.sub(r"\x1b\[(31|0)m", "", pretty(event))  # ours
    assert not set(shown) & set("\x1b\x9b")
    assert shown.count("a\\x1b[2J\\x9b") == 6
    observer = make_observer("json", "info")
    observer.worker_output("chat", "stdout", evil)
    observer.close()
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x9b")
    assert json.loads(out)["text"] == evil
