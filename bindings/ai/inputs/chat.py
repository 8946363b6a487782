"""Chat messages: whatever the service's clients write, checked, and then as every engine reads them.

That is OpenAI's form: ``content`` a string, or a list of text and image parts where there is an image;
``tool_calls`` with their arguments as a JSON string; ``role: tool`` with its ``tool_call_id``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_letters, digits
from typing import Any

import msgspec

from bindings.ai.engines.accumulator import CALL_KEYS
from bindings.ai.inputs.checks import Fields, absent, mismatch, required, text

ROLE_NAMES = {"developer": "system", "function": "tool"}  # newer and older names for what chat templates know
IMAGE_DATA_URI = re.compile(r"data:image/[\w.+-]{1,32};base64,[A-Za-z0-9+/]+={0,2}\Z")
_IMAGE_HEAD, _BASE64 = re.compile(r"data:image/[\w.+-]{1,32};base64,"), f"{ascii_letters}{digits}+/".encode()
TEXT_PARTS = ("text", "input_text", "output_text")


def complaints(messages: object, *, vision: bool) -> Iterator[str]:
    """What is wrong with ``messages``. ``vision``: the model takes images."""
    if not isinstance(messages, list):
        yield mismatch("/messages", messages, "array")
    elif not messages:
        yield "Length of '/messages' must be >= 1"
    else:
        for number, message in enumerate(messages):
            yield from _message(message, f"/messages/{number}", vision)


def openai_message(message: Fields) -> Fields:
    """A checked message in OpenAI's form, without what no chat template reads."""
    role = message["role"]
    openai: Fields = {"role": ROLE_NAMES.get(role, role), "content": _content(message.get("content"))}
    for name in ("name", "tool_call_id", "reasoning_content"):
        if isinstance(message.get(name), str):
            openai[name] = message[name]
    if calls := message.get("tool_calls"):
        openai["tool_calls"] = [_call(call, number) for number, call in enumerate(calls)]
    return openai


def text_of(message: Fields) -> str:
    """The text of a message in that form."""
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


# Checking


def _message(message: object, at: str, vision: bool) -> Iterator[str]:
    if not isinstance(message, dict):
        yield mismatch(at, message, "object")
        return
    needed = ("role",) if message.get("tool_calls") else ("role", "content")
    if missing := [name for name in needed if message.get(name) is None]:
        yield absent(message, at, *missing)
        return
    yield from text(message["role"], f"{at}/role")
    yield from _calls(message.get("tool_calls") or [], f"{at}/tool_calls")
    if (content := message.get("content")) is not None:
        yield from _parts_of(content, f"{at}/content", vision)


def _parts_of(content: object, at: str, vision: bool) -> Iterator[str]:
    if not isinstance(content, str | list | dict):
        yield mismatch(at, content, "string,array")
    for number, part in enumerate(parts(content)):
        yield from _part(part, f"{at}/{number}", vision)


def _part(part: object, at: str, vision: bool) -> Iterator[str]:
    if not isinstance(part, dict):
        yield mismatch(at, part, "object")
        return
    kind = part.get("type") or "text"
    if kind == "image_url":
        yield from _image(part, at) if vision else [f"'{at}' is an image, and the model takes none"]
    elif kind not in TEXT_PARTS:
        yield f"'{at}' of type '{str(kind)[:32]}' is not served here"
    elif not isinstance(part.get("text"), str):
        yield required(at, "text")


def _image(part: Fields, at: str) -> Iterator[str]:
    """Only an image that came along: the service fetches none, and neither does this machine."""
    url = _url(part)
    if not isinstance(url, str):
        yield required(f"{at}/image_url", "url")
    elif url.startswith(("http:", "https:")):
        yield f"'{at}/image_url/url' must be a data: URI, HTTP URL will not be accepted"
    elif not _is_image(url):
        yield f"'{at}/image_url/url' must be 'data:image/<type>;base64,<data>'"


def _is_image(url: str) -> bool:
    """Whether ``IMAGE_DATA_URI`` matches, at a sixth of its time."""
    head = _IMAGE_HEAD.match(url)
    if head is None or not (data := url[head.end() :]).isascii():
        return False
    content = data.encode()
    padding = content.translate(None, _BASE64)
    return padding in (b"", b"=", b"==") and content.endswith(padding) and len(content) > len(padding)


def _calls(calls: object, at: str) -> Iterator[str]:
    if not isinstance(calls, list):
        yield mismatch(at, calls, "array")
        return
    for number, call in enumerate(calls):
        function = _function(call)
        if function is None:
            yield mismatch(f"{at}/{number}", call, "object")
        elif not isinstance(function.get("name"), str) or not function["name"]:
            yield required(f"{at}/{number}/function", "name")
        elif _arguments(function.get("arguments")) is None:
            yield f"'{at}/{number}/function/arguments' must be a JSON object"


# Building


def _content(content: object) -> str | list[Fields]:
    if isinstance(content, str):
        return content
    openai_parts = [_openai_part(part) for part in parts(content)]
    if any(part["type"] == "image_url" for part in openai_parts):
        return openai_parts
    return "\n".join(part["text"] for part in openai_parts)


def _openai_part(part: Fields) -> Fields:
    if part.get("type") == "image_url":
        return {"type": "image_url", "image_url": {"url": _url(part)}}
    return {"type": "text", "text": part["text"]}


def _call(call: Fields, number: int) -> Fields:
    """A native call is flat and has no id; a later ``role: tool`` message may do without one too.

    What else it has, the server that made it wants back."""
    function, id = _function(call), call.get("id")
    assert function is not None
    return {
        "id": id if isinstance(id, str) and id else f"call_{number}",
        "type": "function",
        "function": {"name": function["name"], "arguments": _arguments(function.get("arguments"))},
        **{name: value for name, value in call.items() if name not in CALL_KEYS},
    }


def _function(call: object) -> Fields | None:
    """``{name, arguments}`` of a call in OpenAI's form or the flat one."""
    inner = call.get("function", call) if isinstance(call, dict) else None
    return inner if isinstance(inner, dict) else None


def _arguments(arguments: object) -> str | None:
    """A JSON object's text; None when it is anything else."""
    if arguments is None or arguments == "":
        return "{}"
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    try:
        return arguments if isinstance(arguments, str) and isinstance(msgspec.json.decode(arguments), dict) else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _url(part: Fields) -> object:
    image = part.get("image_url")
    return image.get("url") if isinstance(image, dict) else image


def parts(content: object) -> list[Any]:
    """The parts of a message's content: a list of them, or a single bare one."""
    return content if isinstance(content, list) else [content] if isinstance(content, dict) else []


__all__ = ["complaints", "openai_message", "parts", "text_of"]
