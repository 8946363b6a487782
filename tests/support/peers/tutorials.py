"""A tutorial of docs/tutorials/, followed as it stands: files are written, commands are typed, screens are compared.

Of its fenced blocks

- one with a file's name as title is that file. It is saved, and what goes on waits until a ``pilot dev`` has taken it.
- ``sh`` is typed, line by line. ``pilot dev``, ``pilot host`` and ``pilot tail`` get a terminal of their own, and stay.
  ``title="with a GPU"``, or with whatever else this machine may lack: nobody types it here.
- ``text`` or ``json`` is all that the commands before it have said; with ``title="pilot dev"`` what stands in that
  terminal by now. ``title="for example"``: of a model's words and scores the form counts. ``...`` stands for
  any lines, ``…`` for any text.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hosting import free_port
from shells import Shell, shell

FOLDER = Path(__file__).parents[3] / "docs/tutorials"
FENCE = re.compile(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
EXAMPLE = "for example"
STAYS = re.compile(r"pilot (dev|host|tail)(?! token| audit)\b")
STAYING = {"dev": (" --port 8787", "Ready on"), "host": (" --port 8788", "Ready on"), "tail": ("", "tailing")}
PATIENCE = 60.0
MASKS = (  # what is another each time
    (r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}", "UUID"),
    (r" *~?[\d,.]+ [MG]?B\b", " SIZE"),
    (r"\b[0-9a-f]{8}\b", "ID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "WHEN"),
    (r"\d\d:\d\d:\d\d", "TIME"),
    (r" *\d+(\.\d+)? ?m?s\b", " TOOK"),
    (r"(pilotlight |Python |pytest-)\d+\.\d+(\.\d+)?", r"\1VERSION"),
)


@dataclass(frozen=True)
class Step:
    kind: str  # "file", "typed", "shown" or "elsewhere"
    title: str
    text: str


def steps(page: str) -> list[Step]:
    """The blocks of a page, in its order. Raises ``ValueError`` for one that nobody would follow."""
    return [_step(*found.groups()) for found in FENCE.finditer((FOLDER / page).read_text("utf-8"))]


def _step(language: str, title: str | None, text: str) -> Step:
    if language == "sh":
        return Step("elsewhere" if title else "typed", title or "", text)
    if language in ("text", "json") and (title is None or title == EXAMPLE or STAYS.fullmatch(title)):
        return Step("shown", title or "", text)
    if title is None:
        raise ValueError(f"what file is this?\n{text}")
    return Step("file", title, text)


class Tutorial:
    """Somebody at an empty folder, which is at home."""

    def __init__(self, home: Path, terminals: ExitStack, **env: str) -> None:
        self.home = self.folder = home
        self.output, self._terminals = "", terminals
        self._open: dict[str, Shell] = {}
        self._ports = {"8787": str(free_port()), "8788": str(free_port())}
        self.env = {
            "HOME": str(home), "COLUMNS": "100", "PILOT_HOST": f"http://127.0.0.1:{self._ports['8788']}",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTEST_ADDOPTS": "-p no:asyncio",  # which warns, and a reader has not got
            "PILOT_CACHE_DIR": os.environ.get("PILOT_CACHE_DIR", str(Path.home() / ".cache/pilotlight")),
            **env,
        }  # fmt: skip
        (home / ".curlrc").write_text("silent\nshow-error\n")

    def follow(self, step: Step) -> None:
        if step.kind != "elsewhere":
            {"file": self._write, "typed": self._type, "shown": self._compare}[step.kind](step)

    def _write(self, step: Step) -> None:
        file = self.folder / step.title
        file.parent.mkdir(parents=True, exist_ok=True)
        serving = self._open.get("dev")
        since = len(serving.shown) if serving else 0
        file.write_text(self._here(step.text))
        if serving and file.suffix in (".py", ".toml", ".yaml"):
            _until(lambda: re.search(r"reloaded in|keeps answering", serving.shown[since:]), serving)

    def _type(self, step: Step) -> None:
        self.output = ""
        for line in step.text.replace("\\\n", "").splitlines():
            if found := STAYS.match(line):
                self._leave_on(found[1], line)
            else:
                self._run(line)

    def _leave_on(self, name: str, line: str) -> None:
        if name in self._open:
            self._open.pop(name).press("\x03")
        port, ready = STAYING[name]
        terminal = self._open[name] = self._terminals.enter_context(shell(self.folder, **self.env))
        terminal.press(self._here(line.split("  #")[0].rstrip() + port) + "\n")
        _until(lambda: ready in terminal.shown, terminal)

    def _run(self, line: str) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{self._here(line)}\npwd > {self.home}/.where"], cwd=self.folder,
            env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=PATIENCE,
        )  # fmt: skip
        self.output += done.stdout
        assert done.returncode == 0, f"{line}\n{self.output}\n{self._screens()}"
        self.folder = Path((self.home / ".where").read_text().strip())

    def _compare(self, step: Step) -> None:
        if step.title in ("", EXAMPLE):
            form = _form if step.title else str
            shown, said = (form(_masked(text)) for text in (step.text, self._there(self.output)))
            assert re.fullmatch(_pattern(shown), said), f"on the page:\n{shown}\n\nhere:\n{said}\n\n{self._screens()}"
            return
        terminal = self._open[step.title.removeprefix("pilot ")]
        wanted = _pattern(_masked(step.text))
        _until(lambda: re.search(wanted, _masked(self._there(terminal.shown))), terminal)

    def _here(self, text: str) -> str:
        """With the ports of this run."""
        return re.sub("|".join(self._ports), lambda found: self._ports[found[0]], text)

    def _there(self, text: str) -> str:
        """As somebody would see it whose home is /home/you."""
        shown = text.replace(str(self.home), "/home/you")
        for port, ours in self._ports.items():
            shown = re.sub(rf"\b{ours}\b", port, shown)
        return shown

    def _screens(self) -> str:
        return "\n".join(terminal.shown for terminal in self._open.values())


@contextmanager
def at_home(folder: Path, **env: str) -> Iterator[Tutorial]:
    with ExitStack() as terminals:
        yield Tutorial(folder, terminals, **env)


def _until(true: Callable[[], object], terminal: Shell) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, terminal.shown
        time.sleep(0.05)


def _masked(text: str) -> str:
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def _form(text: str) -> str:
    """Of JSON its keys, of all else that something is said."""
    text = re.sub(r'(?<=[:\[,])\s*"(?:[^"\\]|\\.)*"(?!\s*:)', '"WORDS"', text)
    text = re.sub(r"(?<=[:\[,])\s*-?\d[\d.e-]*", "NUMBER", text)
    lines = [line if re.match(r"[{\[\]}\" ]|data: |\.\.\.$|$", line) else "WORDS" for line in text.splitlines()]
    return re.sub(r"WORDS(\nWORDS|\n(?=\nWORDS))+", "WORDS", "\n".join(lines))


def _pattern(text: str) -> str:
    lines = ("(?:.*\n)*?.*" if line == "..." else re.escape(line) for line in text.splitlines())
    return "\n".join(lines).replace("…", "(?:.|\n)+")
