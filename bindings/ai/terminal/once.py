"""One answer, streamed to standard output; nothing else is written there."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import click
import msgspec

from bindings.ai.catalog.kinds import kind
from bindings.ai.terminal.asked import Asked
from bindings.ai.terminal.session import Piece, Session
from bindings.ai.terminal.telling import Telling
from runtime.controls import clean_json, clean_lines
from runtime.errors import UserError

INTERRUPTED = 130  # as shells have it


def answer(asked: Asked, prompt: str) -> int:
    """The exit code."""
    telling = Telling(shows=not asked.as_json)
    with Session(asked.project, asked.served, telling) as session:
        try:
            if kind(asked.served.model) == "Text Embeddings":
                _print_json(session.result({"text": [prompt]}))
            else:
                _answer(asked, session, prompt)
        except KeyboardInterrupt:
            return INTERRUPTED
        except UserError as error:
            if error.what not in telling.warned:  # it was said why, and more
                raise
            return 3
    return 0


def _answer(asked: Asked, session: Session, prompt: str) -> None:
    with closing(session.ask(messages(asked, prompt), asked.options)) as pieces:
        if not asked.as_json:
            show(pieces)
            return
        kept = list(pieces)
    _print_json(
        {
            "model": asked.served.model.id,
            "engine": asked.served.spec.engine,
            "answered_by": asked.served.answers or asked.served.spec.model,
            "response": "".join(piece.text for piece in kept),
            "finish_reason": next((piece.finish_reason for piece in kept if piece.finish_reason), None),
            "usage": next((piece.usage for piece in kept if piece.usage), None),
        }
    )


def messages(asked: Asked, prompt: str) -> list[dict[str, str]]:
    system = [{"role": "system", "content": asked.system}] if asked.system else []
    return [*system, {"role": "user", "content": prompt}]


def show(pieces: Iterable[Piece]) -> str:
    """Write an answer as it comes; what it said. A terminal sees thoughts too, and no control characters."""
    said: list[str] = []
    for text in _shown(pieces, said, sys.stdout.isatty()):
        sys.stdout.write(text)
        sys.stdout.flush()
    sys.stdout.write("\n")
    return "".join(said)


def _shown(pieces: Iterable[Piece], said: list[str], at_terminal: bool) -> Iterator[str]:
    thinking = False
    for piece in pieces:
        if piece.thought and at_terminal:
            thinking = True
            yield click.style(clean_lines(piece.thought), dim=True)
        if piece.text:
            said.append(piece.text)
            yield ("\n" if thinking else "") + (clean_lines(piece.text) if at_terminal else piece.text)
            thinking = False


def _print_json(value: Any) -> None:
    click.echo(clean_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


__all__ = ["answer", "messages", "show"]
