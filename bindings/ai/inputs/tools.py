"""Tools: flat or in OpenAI's wrapping, checked no more strictly than the service's real clients allow.

Their parameter schemas carry ``$schema``, ``additionalProperties`` and properties without a description
(docs/reference/workers-ai.md#text-generation): all that goes on to the engine as it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bindings.ai.inputs import strict
from bindings.ai.inputs.checks import Fields, mismatch, required, text

TOOL_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}  # any: Mistral's clients
NO_PARAMETERS: Fields = {"type": "object", "properties": {}}


def complaints(fields: Fields) -> Iterator[str]:
    """What is wrong with ``tools`` and ``tool_choice`` among ``fields``."""
    tools = fields.get("tools", [])
    if not isinstance(tools, list):
        yield mismatch("/tools", tools, "array")
        return
    for number, tool in enumerate(tools):
        yield from _tool(tool, f"/tools/{number}")
    if "tool_choice" in fields:
        yield from _choice(fields["tool_choice"], tools)


def openai_form(tools: list[Fields]) -> list[Fields]:
    """Checked tools as ``{"type": "function", "function": {"name", "description", "parameters"}}``."""
    return [{"type": "function", "function": _openai_function(_function(tool))} for tool in tools]


def openai_choice(choice: str | Fields | None, tools: list[Fields]) -> str | Fields | None:
    """A checked ``tool_choice`` in OpenAI's form; None where it says nothing."""
    if not tools or choice is None:
        return None
    if isinstance(choice, str):
        return TOOL_CHOICES[choice]
    return {"type": "function", "function": {"name": _choice_name(choice)}}


def _tool(tool: object, at: str) -> Iterator[str]:
    if not isinstance(tool, dict):
        yield mismatch(at, tool, "object")
        return
    function = _function(tool)
    if tool.get("type") not in (None, "function"):
        yield f"'{at}' of type '{str(tool['type'])[:32]}' is not served here"
    elif not isinstance(function, dict):
        yield mismatch(f"{at}/function", function, "object")
    elif function.get("name") is None:
        yield required(at, "name")
    else:
        yield from text(function["name"], f"{at}/name")
        for name, kind, expected in (("description", str, "string"), ("parameters", dict, "object")):
            if not isinstance(function.get(name), kind | None):
                yield mismatch(f"{at}/{name}", function[name], expected)


def _choice(choice: object, tools: list[Any]) -> Iterator[str]:
    if isinstance(choice, str):
        if choice not in TOOL_CHOICES:
            yield f"'/tool_choice' must be one of '{', '.join(TOOL_CHOICES)}', or name a function"
        elif TOOL_CHOICES[choice] == "required" and not tools:
            yield "'/tool_choice' is 'required', and there are no tools"
    elif not isinstance(choice, dict):
        yield mismatch("/tool_choice", choice, "string,object")
    elif _choice_name(choice) not in [_function(tool).get("name") for tool in tools if _is_function(tool)]:
        yield "'/tool_choice' names no function of '/tools'"


def _function(tool: Fields) -> Any:
    return tool.get("function", tool)


def _is_function(tool: object) -> bool:
    return isinstance(tool, dict) and isinstance(_function(tool), dict)


def _choice_name(choice: Fields) -> object:
    """The function's name: inside ``function`` (chat completions) or beside it (Responses)."""
    inner = choice.get("function", choice)
    return inner.get("name", choice) if isinstance(inner, dict) else inner


def _openai_function(function: Fields) -> Fields:
    description = {"description": function["description"]} if function.get("description") else {}
    parameters = function.get("parameters") or NO_PARAMETERS
    if function.get("strict") is not True:
        return {"name": function["name"], **description, "parameters": parameters}
    return {"name": function["name"], **description, "parameters": strict.closed(parameters), "strict": True}


__all__ = ["complaints", "openai_choice", "openai_form"]
