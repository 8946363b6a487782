"""The blocks of Anthropic's messages (text, image, document, tool_use, tool_result) as messages of a chat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bindings.ai.errors import ModelError, bad_input
from bindings.ai.inputs.checks import Fields


def invalid(at: str, what: str) -> ModelError:
    """5006, worded as Anthropic words it: ``messages.0.content: Field required``."""
    return bad_input(f"{at}: {what}")


def blocks_of(content: object, at: str) -> list[Fields]:
    """A text is a single block. Raises ModelError 5006 for what is no list of blocks."""
    if content is None:
        raise invalid(at, "Field required")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise invalid(at, "Input should be a string or a list of blocks")
    return content


def text_parts(content: list[Any], at: str) -> list[Fields]:
    """Blocks that can only be text."""
    return [part for number, block in enumerate(blocks_of(content, at)) for part in _text(block, f"{at}.{number}")]


def of_user(content: list[Fields], at: str) -> Iterator[Fields]:
    """The results of calls first, each a message; images among them are shown after, as a user shows them."""
    content_parts: list[Fields] = []
    for number, block in enumerate(content):
        place = f"{at}.{number}"
        if block.get("type") == "tool_result":
            parts = _result(block, place)
            content_parts += [part for part in parts if part["type"] != "text"]
            text = "\n".join(part["text"] for part in parts if part["type"] == "text")
            yield {"role": "tool", "tool_call_id": _required_text(block, "tool_use_id", place), "content": text}
        else:
            content_parts += _part(block, place)
    if content_parts or not content:
        yield {"role": "user", "content": content_parts or ""}


def of_assistant(content: list[Fields], at: str) -> Iterator[Fields]:
    parts: list[Fields] = []
    calls: list[Fields] = []
    thoughts: list[str] = []
    for number, block in enumerate(content):
        kind, place = block.get("type"), f"{at}.{number}"
        if kind == "tool_use":
            arguments = block.get("input")
            function = {
                "name": _required_text(block, "name", place),
                "arguments": {} if arguments is None else arguments,
            }
            calls.append({"id": _required_text(block, "id", place), "type": "function", "function": function})
        elif kind == "thinking":
            thoughts.append(str(block.get("thinking") or ""))
        elif kind != "redacted_thinking":
            parts += _text(block, place)
    message: Fields = {"role": "assistant", "content": parts or ""}
    if any(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    yield {**message, "tool_calls": calls} if calls else message


def of_system(content: list[Fields], at: str) -> Iterator[Fields]:
    yield {"role": "system", "content": text_parts(content, at)}


CONVERTERS: dict[str, Callable[[list[Fields], str], Iterator[Fields]]] = {
    "user": of_user,
    "assistant": of_assistant,
    "system": of_system,
}


def _result(block: Fields, at: str) -> list[Fields]:
    content = block.get("content")
    inside = [] if content is None else blocks_of(content, f"{at}.content")
    return [part for number, each in enumerate(inside) for part in _part(each, f"{at}.content.{number}")]


def _part(block: Fields, at: str) -> list[Fields]:
    kind = block.get("type")
    if kind == "image":
        return [{"type": "image_url", "image_url": {"url": _image(block.get("source"), f"{at}.source")}}]
    if kind == "document":
        return _document(block, f"{at}.source")
    return _text(block, at)


def _text(block: Fields, at: str) -> list[Fields]:
    if block.get("type") != "text":
        raise invalid(at, f"a block of type {str(block.get('type'))[:40]!r} is not served here")
    if not isinstance(block.get("text"), str):
        raise invalid(f"{at}.text", "Field required")
    return [{"type": "text", "text": block["text"]}]


def _image(source: object, at: str) -> str:
    source = source if isinstance(source, dict) else {}
    if source.get("type") == "base64" and isinstance(source.get("data"), str):
        return f"data:{source.get('media_type')};base64,{source['data']}"
    raise invalid(at, 'only {"type": "base64", "media_type", "data"} is served: nothing is fetched or stored here')


def _document(block: Fields, at: str) -> list[Fields]:
    """A text with its title. Of a PDF ``ai/tomarkdown`` makes one."""
    value = block.get("source")
    source: Fields = value if isinstance(value, dict) else {}
    title = [{"type": "text", "text": block["title"]}] if isinstance(block.get("title"), str) else []
    if source.get("type") == "text" and isinstance(source.get("data"), str):
        return [*title, {"type": "text", "text": source["data"]}]
    if source.get("type") == "content":
        return [*title, *text_parts(source.get("content"), f"{at}.content")]  # type: ignore[arg-type]
    raise invalid(at, "only documents of type 'text' and 'content' are served: ai/tomarkdown makes a text of a PDF")


def _required_text(block: Fields, name: str, at: str) -> str:
    if not isinstance(block.get(name), str) or not block[name]:
        raise invalid(f"{at}.{name}", "Field required")
    text: str = block[name]
    return text


__all__ = ["CONVERTERS", "blocks_of", "invalid", "text_parts"]
