"""``pilot run``: one answer, or a chat, at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bindings.ai.catalog.kinds import kind
from bindings.ai.catalog.models import TEXT_GENERATION
from bindings.ai.catalog.resolve import Served
from bindings.ai.errors import ModelError
from bindings.ai.terminal.asked import Asked
from bindings.ai.terminal.ids import full_id
from bindings.ai.terminal.project import CONFIG, ENGINE, Project, project
from runtime.errors import UserError

CHATTING = (TEXT_GENERATION, "Guard")
EMBEDDING = "Text Embeddings"


@click.command(short_help="Ask a model here: one prompt, or a chat.")
@click.argument("model")
@click.argument("prompt", nargs=-1)
@click.option("--system", help="A message of the system's, before the conversation.")
@click.option(
    "--max-tokens", type=click.IntRange(1), help="Of an answer. Default: what the model's window has room for."
)
@click.option("--temperature", type=click.FloatRange(0, 5), help="0: always the likeliest.")
@CONFIG
@ENGINE
@click.option("--json", "as_json", is_flag=True, help="Print the answer and its usage as JSON.")
def run(
    model: str, prompt: Sequence[str], system: str | None, config: Path | None, engine: str | None, as_json: bool,
    **options: object,
) -> None:  # fmt: skip
    """Ask MODEL on the engine that pilot dev would use; no server is needed.

    Without a PROMPT it is a chat; where standard input is no terminal, what comes from there is the prompt. The word -
    stands for it as well."""
    known = project(config, engine)
    given = {name: value for name, value in options.items() if value is not None}
    asked = Asked(known, _served(known, model), system, given, as_json)
    text = _prompt(prompt, as_json)
    from bindings.ai.terminal import chat, once

    if text is not None:
        sys.exit(once.answer(asked, text))
    if kind(asked.served.model) not in CHATTING:
        raise click.UsageError(f"{asked.served.model.id} holds no conversation; give it a prompt")
    chat.talk(asked)


def _served(known: Project, name: str) -> Served:
    id = full_id(known.catalog, name)
    try:
        served = known.catalog.resolve(id, known.engine)
    except ModelError as error:
        what = error.description.partition(" or task: ")[2] or error.description
        raise UserError(what, where=id, remedy="pilot models   lists those there are") from None
    if kind(served.model) not in (*CHATTING, EMBEDDING):
        what = f"is a model for {kind(served.model)}; pilot run asks for text and embeddings"
        raise UserError(what, where=id, remedy=f'In a worker:  await env.AI.run("{id}", {{...}})')
    return served


def _prompt(words: Sequence[str], as_json: bool) -> str | None:
    """None: a person is there, and said nothing yet."""
    if not words and sys.stdin.isatty():
        if as_json:
            raise click.UsageError("--json is for one answer; give a prompt")
        return None
    text = " ".join(_stdin() if word == "-" else word for word in words or ("-",))
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    return text


def _stdin() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "replace").rstrip("\n")


__all__ = ["run"]
