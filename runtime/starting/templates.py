"""Templates are the samples of this project: what a newcomer gets is what is served and tested here every day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import runtime
from runtime.errors import UserError
from runtime.hints import close_to

_PACKAGED = Path(runtime.__file__).parent / "templates"  # in a wheel
_SAMPLES = Path(runtime.__file__).parents[1] / "workers"  # in a clone
_NAME_LINE = re.compile(r'^name = "[^"]*"$', re.MULTILINE)

TEMPLATES = {
    "hello": "the smallest worker",
    "stream": "a model's answer, as it comes",
    "chat": "a chat page in front of a model",
    "fastapi": "FastAPI with a database and a model; its packages are installed at the first start",
    "room": "a chat room with a model in it: a Durable Object and WebSockets",
    "digest": "cron trigger, queue, workflow, model, email",
    "rag": "ask your own documents: KV, D1, R2, Vectorize, assets and a model",
}


def files_of(template: str, name: str) -> Iterator[tuple[str, bytes]]:
    """(path, content) of what a worker of this name begins with. Raises UserError for a template that is none."""
    if template not in TEMPLATES:
        what = f"there is no template {template!r}{close_to(template, TEMPLATES)}"
        raise UserError(what, where="--template", remedy=f"One of: {', '.join(TEMPLATES)}")
    folder = (_PACKAGED if _PACKAGED.is_dir() else _SAMPLES) / template
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not _is_left(path, folder)):
        content = path.read_bytes()
        if path.name == "wrangler.toml":
            content = _NAME_LINE.sub(f'name = "{name}"', content.decode(), count=1).encode()
        yield path.relative_to(folder).as_posix(), content
    yield "test_worker.py", _TEST.format(check=_CHECKS[template]).encode()
    yield ".gitignore", b"/.pilot/\n__pycache__/\n.dev.vars\n.env\n"


def _is_left(path: Path, folder: Path) -> bool:
    """By whoever has served the sample where it stands."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)


_TEST = '''"""pytest runs this. The fixture `worker` serves this folder; its models repeat what they are asked."""


def test_it_answers(worker):
{check}
'''
_PAGE = '    assert "<title>" in worker.fetch("/").text()'
_CHECKS = {
    "hello": """\
    answer = worker.fetch("/")
    assert (answer.status, answer.text()) == (200, "Hello from Python!\\n")""",
    "stream": """\
    *tokens, end = worker.fetch("/").events()
    assert end == "[DONE]"
    assert \'"response":" new"\' in "".join(tokens)""",
    "chat": f'''\
{_PAGE}
    events = worker.fetch("/worker-endpoint?query=hello").events()
    assert events[-1] == "[DONE]"''',
    "fastapi": """\
    assert worker.fetch("/notes", "POST", json={"text": "hello"}).status == 201
    assert [note["text"] for note in worker.fetch("/notes").json()] == ["hello"]
    assert worker.fetch("/summary").events()[-1] == "[DONE]\"""",
    "room": _PAGE,
    "digest": """\
    assert worker.fetch("/notes", "POST", body="hello").status == 201
    assert worker.fetch("/notes").json() == ["hello"]""",
    "rag": _PAGE,
}

__all__ = ["TEMPLATES", "files_of"]
