"""What ``env.AI`` answers in one piece, beside ``vllm serve``: embeddings, a chat with a picture, JSON mode, tools.

The model's process is the paced one of both, so that what is compared is all that is done around it: bodies, pictures,
templates, tokens, parsers.
"""

from __future__ import annotations

import base64
import io
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from bench import load, model, servers
from bench.measures import Length, Numbers, per
from bench.running import HERE, Prepare, Running, Server, first_bytes

_EYE, _VECTORS = load.CACHE / "eye", load.CACHE / "vectors-model"
_DIMENSIONS, _TEXTS, _WORDS = 384, 100, 20
_PIXELS = 830  # of noise, which no PNG makes smaller: 2 MB
_JSON, _TOOLS, _SHORT = 200, 201, 8  # tokens asked for, by which the source knows what to say
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
           "required": ["city", "people"]}  # fmt: skip
_TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": _SCHEMA}}
_SAID = '{"city": "New York", "people": 8}'
_SPOKEN = {_JSON: _SAID, _TOOLS: f'<tool_call>\n{{"name": "weather", "arguments": {_SAID}}}\n</tool_call>'}
_ENV = {**servers.ENGINE_ENV, "PACED_MS": "1", "PACED_TEXTS": json.dumps(_SPOKEN), "HF_HUB_OFFLINE": "1"}
_CONTEXT, _LOADED_S = 4096, 180
_QUESTION = [{"role": "user", "content": "Where is New York?"}]


def _project(row: dict[str, Any], make: Callable[[], Path]) -> Prepare:
    def prepare(folder: Path, port: int, target: str) -> None:
        shutil.copy(HERE / "workers" / "worker.py", folder)
        (folder / "wrangler.toml").write_text(servers.CONFIG.format(target=target, model=row["name"]))
        options = {"model": str(make()), "load_format": "dummy", "dtype": "float32", "max_model_len": _CONTEXT}
        rows = {row["name"]: {"engine": "vllm", "preload": True, "vllm": {**options, **row["vllm"]}, **row["more"]}}
        (folder / "models.yaml").write_text(json.dumps(rows))

    return prepare


def _made(folder: Path, make: Callable[[Path], object]) -> Path:
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        make(part)
        part.rename(folder)
    return folder


def _eye() -> Path:
    return _made(_EYE, model.make_seeing)


def _vectors() -> Path:
    return _made(_VECTORS, lambda folder: model.make(folder, hidden=_DIMENSIONS))


def _ours(name: str, make: Callable[[], Path], vllm: dict[str, Any], **more: Any) -> Server:
    row = {"name": name, "vllm": vllm, "more": more}
    return replace(servers.VLLM, prepare=_project(row, make), environment=_ENV, tokens=None)


def _serve(make: Callable[[], Path], folder: Path, *arguments: str) -> Server:
    def prepare(_: Path, port: int, target: str) -> None:
        make()

    command = list(servers.VLLM_SERVE.command)
    command[command.index("--model") + 1] = str(folder)
    command[command.index("--max-model-len") + 1] = str(_CONTEXT)
    full = (*command, "--dtype", "float32", *arguments)
    return replace(servers.VLLM_SERVE, command=full, prepare=prepare, environment=_ENV, tokens=None, body=None)


CHATS = (
    _ours("@cf/bench/eye", _eye, {}, vision=True, context_window=_CONTEXT),
    _serve(_eye, _EYE, "--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
)
EMBEDDINGS = (
    _ours("@cf/baai/bge-small-en-v1.5", _vectors, {"pooling": "mean"}),
    _serve(_vectors, _VECTORS, "--runner", "pooling", "--pooler-config", '{"pooling_type": "MEAN"}'),
)


def embedded(server: Server, running: Running, length: Length) -> Numbers:
    words, chance = model.text().split(), random.Random(1)
    texts = [" ".join(chance.choices(words, k=_WORDS)) for _ in range(_TEXTS)]
    theirs = {"model": "paced", "input": texts}
    return _asked(server, running, length, {"text": texts}, "/v1/embeddings", theirs)


def pictured(server: Server, running: Running, length: Length) -> Numbers:
    parts = [{"type": "image_url", "image_url": {"url": _picture()}}, {"type": "text", "text": "What is it?"}]
    return _chatted(server, running, length, {"messages": [{"role": "user", "content": parts}], "max_tokens": _SHORT})


def json_mode(server: Server, running: Running, length: Length) -> Numbers:
    asked = {"messages": _QUESTION, "max_tokens": _JSON}
    ours = {"type": "json_schema", "json_schema": _SCHEMA}
    theirs = {"type": "json_schema", "json_schema": {"name": "city", "schema": _SCHEMA}}
    return _chatted(server, running, length, {**asked, "response_format": ours}, {**asked, "response_format": theirs})


def tools(server: Server, running: Running, length: Length) -> Numbers:
    return _chatted(server, running, length, {"messages": _QUESTION, "max_tokens": _TOOLS, "tools": [_TOOL]})


def _chatted(
    server: Server, running: Running, length: Length, ours: dict[str, Any], theirs: dict[str, Any] | None = None
) -> Numbers:
    asked = {"model": "paced", **(theirs or ours)}
    return _asked(server, running, length, ours, "/v1/chat/completions", asked)


def _asked(
    server: Server, running: Running, length: Length, ours: dict[str, Any], path: str, theirs: dict[str, Any]
) -> Numbers:
    body = running.folder / "asked.json"
    body.write_text(json.dumps(ours if server.is_ours else theirs))
    where = "/run" if server.is_ours else path
    first_bytes(running.port, where, body.read_text(), _LOADED_S)  # everything loaded
    many = load.hello(running.port, 16, length.seconds, running.cpu, where, f"@{body}")
    one = load.hello(running.port, 1, length.seconds, running.cpu, where, f"@{body}")
    return {
        "CPU/request ms": per(many, "requests") / 1000,
        "CPU at 1 ms": per(one, "requests") / 1000,
        "p50 at 1 ms": one["p50"] / 1000,
        "p50 at 16 ms": many["p50"] / 1000,
        "req/s": many["requests"] / many["elapsed_us"] * 1e6,
    }


@cache
def _picture() -> str:
    from PIL import Image

    noise = random.Random(1).randbytes(3 * _PIXELS * _PIXELS)
    Image.frombytes("RGB", (_PIXELS, _PIXELS), noise).save(file := io.BytesIO(), "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


__all__ = ["CHATS", "EMBEDDINGS", "embedded", "json_mode", "pictured", "tools"]
