"""A shell on a terminal, as somebody sits before it: keys go in, and what is shown comes back."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CONTROLS = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|\r")


class Shell:
    """``shown``: all that came to the terminal, without colours; ``raw``: with them."""

    def __init__(self, leader: int, process: subprocess.Popen[bytes]) -> None:
        self._leader, self.process, self.raw = leader, process, ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def shown(self) -> str:
        return _CONTROLS.sub("", self.raw)

    def press(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    def until(self, text: str, *, since: int = 0, within: float = 30.0) -> str:
        """What is shown once ``text`` is, from character ``since`` on."""
        end = time.monotonic() + within
        while text not in self.shown[since:]:
            assert time.monotonic() < end, f"no {text!r} in:\n{self.shown[since:]}"
            time.sleep(0.02)
        return self.shown[since:]

    def type(self, line: str, then: str, **options: float) -> str:
        """A line and Enter; what is shown from there on, once ``then`` is."""
        since = len(self.shown)
        self.press(line + "\n")
        return self.until(then, since=since, **options)

    @property
    def echoes(self) -> bool:
        """Whether the terminal is a shell's usual one: what is typed is shown, and handed over line by line."""
        usual = termios.ECHO | termios.ICANON
        return bool(termios.tcgetattr(self._leader)[3] & usual == usual)

    def settles(self, *, echoes: bool, within: float = 10.0) -> None:
        end = time.monotonic() + within
        while self.echoes != echoes:
            assert time.monotonic() < end, f"echo is {self.echoes}:\n{self.shown}"
            time.sleep(0.02)

    def close(self) -> None:
        """Once nobody has the terminal open any more."""
        self._reader.join(30)
        assert not self._reader.is_alive(), f"somebody stays:\n{self.shown}"
        os.close(self._leader)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._leader, 65536)
            except OSError:  # the last who had it open has left
                return
            if not data:
                return
            self.raw += data.decode("utf-8", "replace")


@contextmanager
def shell(folder: Path, **env: str) -> Iterator[Shell]:
    """bash, with job control, in ``folder``, where ``pilot`` is the one under test."""
    if (setsid := shutil.which("setsid")) is None or (bash := shutil.which("bash")) is None:
        pytest.skip("needs bash and util-linux's setsid")
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (40, 100))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        [setsid, "--ctty", "--wait", bash, "--norc", "--noprofile", "--noediting", "-i"], cwd=folder,
        stdin=follower, stdout=follower, stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", "PS1": "$ ", "PATH": path, **env},
    )  # fmt: skip
    os.close(follower)
    shown = Shell(leader, process)
    try:
        shown.until("$ ")
        yield shown
    finally:
        process.kill()  # of whom the terminal is; what runs in its foreground is told by the kernel
        process.wait(10)
        shown.close()
