"""The keys of ``pilot dev``, pressed on a real terminal below a real shell."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving import write
from shells import Shell, shell

ENTRY = 'from workers import Response\nprint("loaded")\nasync def fetch(request, env, ctx): return Response("hi")\n'
READY = "? shows the keys"


@pytest.fixture
def sitting(tmp_path: Path) -> Iterator[Shell]:
    """Somebody whose browser writes down which page it is asked for."""
    write(tmp_path, ENTRY)
    browser = tmp_path / "browser.log.sh"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/seen.log\necho "shown $1"\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    with shell(tmp_path, BROWSER=f"{browser} %s") as found:
        yield found


def start(sitting: Shell, *words: str, before: str = "", after: str = "") -> str:
    """Its URL."""
    shown = sitting.type(" ".join([before, "pilot dev --port 0 --engine echo", *words, after]), READY)
    found = re.search(r"Ready on (\S+)", shown)
    assert found
    return found[1]


def leave(sitting: Shell) -> None:
    """What is left is a shell that works."""
    sitting.settles(echoes=True)
    assert "4 and 2" in sitting.type('echo "$((2 + 2)) and 2"', "4 and 2\n")


def test_each_key_does_what_the_help_says(sitting: Shell) -> None:
    url = start(sitting)
    sitting.settles(echoes=False)
    sitting.press("?")
    shown = sitting.until("quit")
    assert all(f"  {key}  " in shown for key in "oercq?")
    sitting.press("o")
    sitting.until(f"shown {url}\n")
    sitting.press("E")
    sitting.until(f"shown {url}/__pilot/\n")
    since = len(sitting.shown)
    sitting.press("r")
    assert "loaded" in sitting.until("reloaded in", since=since)
    sitting.press("c")
    sitting.press("\n\n")
    sitting.press("h")
    sitting.until("quit", since=since)
    assert "\x1b[2J" in sitting.raw
    sitting.press("q")
    sitting.until("Stopping")
    leave(sitting)


def test_an_arrow_and_a_pasted_line_do_nothing(sitting: Shell) -> None:
    start(sitting)
    sitting.settles(echoes=False)
    since = len(sitting.shown)
    for pressed in ("\x1b[C", "curl quickly\n", "h"):
        sitting.press(pressed)
        time.sleep(0.3)  # not one after another in the same turn
    assert "Stopping" not in sitting.until("show this", since=since)
    assert "\x1b[2J" not in sitting.raw


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_the_keys_again(sitting: Shell) -> None:
    start(sitting)
    sitting.settles(echoes=False)
    sitting.press("\x1a")
    sitting.until("Stopped")
    leave(sitting)
    sitting.press("fg\n")
    sitting.settles(echoes=False)
    since = len(sitting.shown)
    sitting.press("h")
    sitting.until("show this", since=since)
    sitting.press("\x1a")
    sitting.until("Stopped", since=since)
    sitting.type("bg", "&")
    leave(sitting)  # in the background it leaves the terminal alone
    sitting.press("fg\n")
    sitting.settles(echoes=False)
    sitting.press("q")
    sitting.until("Stopping")
    leave(sitting)


def test_in_the_background_it_serves_and_the_shell_keeps_its_terminal(sitting: Shell) -> None:
    sitting.type("pilot dev --port 0 --engine echo &", READY)
    leave(sitting)
    sitting.type("fg", "pilot dev")
    sitting.settles(echoes=False)
    sitting.press("q")
    sitting.until("Stopping")
    leave(sitting)


@pytest.mark.parametrize("how", ["INT INT", "TERM", "HUP", "KILL", "STOP CONT TERM"])
def test_however_it_ends_the_terminal_is_as_it_was(sitting: Shell, tmp_path: Path, how: str) -> None:
    (tmp_path / "entry.py").write_text("import asyncio\nasync def fetch(request, env, ctx): await asyncio.sleep(60)\n")
    url = start(sitting, before="sh -c 'echo $$ > pid.log; exec", after="'")
    sitting.settles(echoes=False)
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as waiting:
        waiting.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        for name in how.split():
            time.sleep(0.3)
            os.kill(int((tmp_path / "pid.log").read_text()), signal.Signals[f"SIG{name}"])
            if name in ("TERM", "HUP"):
                sitting.until("1 request is awaited")
                waiting.close()
        leave(sitting)


def test_keys_are_for_terminals_alone(sitting: Shell) -> None:
    sitting.type("pilot dev --port 0 --engine echo < /dev/null", "Ctrl-C stops\n")
    assert sitting.echoes
    sitting.press("\x03")
    sitting.until("Stopping")
    sitting.type("pilot dev --port 0 --engine echo --inline", "Ctrl-C stops\n")  # where breakpoint() reads
    assert sitting.echoes


def test_open_shows_the_page_once_it_answers(sitting: Shell) -> None:
    url = start(sitting, "--open")
    sitting.until(f"shown {url}\n")


def test_without_a_browser_the_page_is_named(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    with shell(tmp_path, BROWSER="", DISPLAY="", WAYLAND_DISPLAY="", WSL_DISTRO_NAME="") as sitting:
        url = start(sitting, "--open")
        sitting.until(f"the page is  {url}\n")
