"""A conversation at the terminal. Ctrl-C ends an answer, Ctrl-D leaves."""

from __future__ import annotations

import sys
from contextlib import closing, suppress

import click

from bindings.ai.terminal.asked import Asked
from bindings.ai.terminal.once import messages, show
from bindings.ai.terminal.session import Refused, Session
from bindings.ai.terminal.telling import Telling
from runtime.controls import clean_lines
from runtime.errors import UserError

PROMPT, CONTINUED, QUOTES = ">>> ", "... ", '"""'
HELP = f"""\
/clear   forget what was said
/bye     leave, as Ctrl-D does
{QUOTES}      before and after a text of several lines
Ctrl-C   end an answer"""


def talk(asked: Asked) -> None:
    """Until the person leaves."""
    _use_line_editor()
    click.echo(click.style(f"{_who(asked)}\n/help says what to type; Ctrl-D leaves", dim=True))
    telling = Telling(shows=False)
    with Session(asked.project, asked.served, telling) as session:
        chat = _Chat(asked, session, telling)
        while (line := _line()) is not None:
            if line == "/bye":
                break
            if line.strip():
                chat.take(line)


class _Chat:
    """What was said so far; what the window has no more room for is forgotten, the oldest first."""

    def __init__(self, asked: Asked, session: Session, telling: Telling) -> None:
        self._asked, self._session, self._telling = asked, session, telling
        self._said: list[dict[str, str]] = []

    def take(self, line: str) -> None:
        if line == "/clear":
            self._said.clear()
            click.echo("it is forgotten")
        elif line.startswith("/") and " " not in line:
            click.echo(HELP)
        else:
            self._reply(line)

    def _reply(self, line: str) -> None:
        self._telling.live = sys.stderr.isatty()  # not while a line is typed
        try:
            answer = self._answer(line)
        except KeyboardInterrupt:
            click.echo(click.style(" (ended)", dim=True))
        except UserError as error:
            if error.what not in self._telling.warned:  # it was said why, and more
                click.echo(clean_lines(str(error)), err=True)
        else:
            self._said += [{"role": "user", "content": line}, {"role": "assistant", "content": answer}]
        finally:
            self._telling.live = False

    def _answer(self, line: str) -> str:
        while True:
            *before, last = messages(self._asked, line)
            try:
                with closing(self._session.ask([*before, *self._said, last], self._asked.options)) as pieces:
                    return show(pieces)
            except Refused as error:
                if not (error.too_long and self._said):
                    raise
                del self._said[:2]


def _who(asked: Asked) -> str:
    served = asked.served
    name = f"{served.answers} stands in for {served.model.id}" if served.stand_in else served.model.id
    return f"{name}, on {served.spec.engine}"


def _line() -> str | None:
    """A line, or several between quotes; None: the person leaves."""
    while True:
        try:
            return _whole(input(PROMPT))
        except KeyboardInterrupt:
            click.echo("\nCtrl-D or /bye leaves")
        except EOFError:
            click.echo()
            return None


def _whole(line: str) -> str:
    if not line.startswith(QUOTES):
        return line
    text = line.removeprefix(QUOTES)
    while not text.rstrip().endswith(QUOTES):
        text += "\n" + input(CONTINUED)
    return text.rstrip().removesuffix(QUOTES)


def _use_line_editor() -> None:
    """``input`` uses it once it is imported; some builds of Python have none."""
    with suppress(ImportError):
        import readline  # noqa: F401


__all__ = ["talk"]
