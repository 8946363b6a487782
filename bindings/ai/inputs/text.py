"""A text-generation request, checked: JSON comes in, a ``Generate`` goes on to the engine.

An answer has one of five forms. The classic one is Workers AI's own; three are OpenAI's, of its routes and of the
newer models on ``ai/run``; one is Anthropic's. null means absent and unknown keys are tolerated, as the service has it.
An option that would change the answer but is not served is refused rather than ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import msgspec

from bindings.ai.catalog.models import Model
from bindings.ai.engine.protocol import Generate
from bindings.ai.errors import bad_input
from bindings.ai.inputs import chat, checks, images, json_mode, messages, prompts, responses, tools
from bindings.ai.inputs.checks import MAX_COMPLAINTS, Fields
from bindings.ai.inputs.sampling import generate, is_true, prompt_fields

CLASSIC, CHAT, COMPLETION, RESPONSES = "classic", "chat", "completion", "responses"
MESSAGES = "messages"  # Anthropic's
TRANSCRIPT = "transcript"  # of a recording, as OpenAI has it
OPENAI_ROUTE = "OpenAI's "  # before a form: a route under /v1 asks, whose defaults are OpenAI's, not the service's
REQUIRED = {
    CLASSIC: ("prompt", "messages"),
    CHAT: ("messages",),
    COMPLETION: ("prompt",),
    RESPONSES: ("messages",),
    MESSAGES: ("messages",),
}


def _is_empty(value: object) -> bool:
    return not value


def _is_one(value: object) -> bool:
    return bool(value == 1)


UNSERVED: dict[str, Callable[[Any], bool]] = {  # option → the values that change nothing and may pass
    "functions": _is_empty,
    "function_call": lambda value: value in ("none", "auto"),
    "image": _is_empty,
    "input": _is_empty,
    "requests": _is_empty,
    "request_id": _is_empty,
    "suffix": _is_empty,
    "echo": _is_empty,
    "best_of": _is_one,
    "audio": _is_empty,
    "modalities": lambda value: value == ["text"],
    "web_search_options": lambda value: False,
}
UNSERVED_COMPLETION = {name: harmless for name, harmless in UNSERVED.items() if name != "best_of"}
UNSERVED_CLASSIC = {**UNSERVED, "n": _is_one, "logprobs": _is_empty, "top_logprobs": _is_empty}  # nowhere to put them
UNSERVED_OPTIONS = ("queueRequest", "websocket")
REPLACEMENTS = {"functions": ": describe them in 'tools'", "function_call": ": use 'tool_choice'"}


@dataclass(frozen=True)
class TextRequest:
    """A checked request: what the engine is to generate, and in which form to answer.

    ``lora`` is an adapter's id or name, still to be found. ``padded``: filler may hide the lengths of a stream's texts;
    ``usage_chunk``: the usage is a chunk by itself, and on demand only, as OpenAI has it. ``body`` is the request as it
    came, for answers that repeat it. ``prompts``: a completion's, where there are several; ``generate`` has the first.
    """

    generate: Generate
    stream: bool
    form: str = CLASSIC
    lora: str | None = None
    padded: bool = True
    usage_chunk: bool = False
    include_usage: bool = True
    body: Fields = field(default_factory=dict, repr=False)
    prompts: tuple[prompts.Prompt, ...] = ()

    @property
    def choices(self) -> int:
        """How many answers are made: so many for each prompt."""
        return self.generate.n * max(1, len(self.prompts))

    def of_each_prompt(self, generate: Generate) -> list[Generate]:
        """``generate``, which may have been added to, for each prompt."""
        return [msgspec.structs.replace(generate, **prompt_fields(prompt)) for prompt in self.prompts] or [generate]


def text_generation(inputs: object, model: Model, form: str = "") -> TextRequest:
    """The inputs of ``run`` for ``model``, or of an OpenAI route, which names the ``form``. Raises ModelError 5006."""
    if not isinstance(inputs, dict):
        raise bad_input(checks.mismatch("/", inputs, "object"))
    body = {key: value for key, value in inputs.items() if value is not None}
    _drop_empty_input(body)
    any_route, openai_route = bool(form), form.startswith(OPENAI_ROUTE)
    form = form.removeprefix(OPENAI_ROUTE) or _form(body, model)
    fields = _chat_or_completion(body, model, form)
    _refuse_unserved(fields, form)
    if not _is_usual(fields, model, form) and (
        complaints := list(islice(_complaints(fields, model, form), MAX_COMPLAINTS))
    ):
        raise bad_input("oneOf at '/' not met, 0 matches: " + ", ".join(complaints))
    if "prompt" in fields and "messages" in fields:
        raise bad_input("oneOf at '/' not met, 2 matches: prompt and messages are mutually exclusive")
    prompt_list = prompts.as_list(fields["prompt"]) if form == COMPLETION else []
    if prompt_list:
        fields = {**fields, "prompt": prompt_list[0]}
    include_usage = fields.get("stream_options", {}).get("include_usage")
    request = TextRequest(
        generate=generate(fields, model, raw=form == COMPLETION, fill=openai_route, clip=form == MESSAGES),
        stream=is_true(fields.get("stream")),
        form=form,
        lora=fields.get("lora"),
        padded=not any_route,
        usage_chunk=openai_route,
        include_usage=include_usage is True if openai_route else include_usage is not False,
        body=body,
        prompts=tuple(prompt_list),
    )
    if form == CLASSIC and request.stream and request.generate.json_schema is not None:
        raise bad_input("JSON Mode does not support streaming")
    return request


def refuse_options(options: Mapping[str, Any]) -> None:
    """Options of ``run`` (or its query string) that would change the answer's kind and are not served."""
    for name in UNSERVED_OPTIONS:
        if str(options.get(name) or "false").lower() != "false":
            raise bad_input(f"option '{name}' is not served here")


# Which form


def _form(fields: Fields, model: Model) -> str:
    """The newer models on ``run`` tell by the fields which of OpenAI's APIs is meant
    (docs/reference/workers-ai.md#text-generation)."""
    if not model.openai_style:
        return CLASSIC
    if "input" in fields and "messages" not in fields and "prompt" not in fields:
        return RESPONSES
    return COMPLETION if "prompt" in fields and "messages" not in fields else CHAT


def _drop_empty_input(fields: Fields) -> None:
    """An empty prompt beside messages (or the reverse) means that the other is meant."""
    for name, other in (("prompt", "messages"), ("messages", "prompt")):
        if fields.get(other) and fields.get(name) in ("", []):
            del fields[name]


def _chat_or_completion(fields: Fields, model: Model, form: str) -> Fields:
    """``fields``, of whichever API, as a chat's or a completion's. Raises ModelError 5006, 5004."""
    if form == RESPONSES:
        return responses.as_chat(fields)
    if form == MESSAGES:
        return messages.as_chat(fields)
    if model.vision and fields.get("image"):
        return images.into_messages(fields)
    return fields


# Refusing


def _refuse_unserved(fields: Fields, form: str) -> None:
    unserved = {CLASSIC: UNSERVED_CLASSIC, COMPLETION: UNSERVED_COMPLETION}.get(form, UNSERVED)
    if unserved.keys().isdisjoint(fields):
        return
    for name, harmless in unserved.items():
        if name in fields and not harmless(fields[name]):
            raise bad_input(f"'/{name}' is not served here" + REPLACEMENTS.get(name, ""))


def _is_usual(fields: Fields, model: Model, form: str) -> bool:
    """Whether a look is enough to see that nothing is wrong with it."""
    return any(name in fields for name in REQUIRED[form]) and checks.are_usual(fields, _ranges(model, form))


def _complaints(fields: Fields, model: Model, form: str) -> Iterator[str]:
    if not any(name in fields for name in REQUIRED[form]):
        yield from (checks.absent(fields, "/", name) for name in REQUIRED[form])
    if "prompt" in fields:
        yield from (prompts.complaints if form == COMPLETION else partial(checks.text, at="/prompt"))(fields["prompt"])
    if "messages" in fields:
        yield from chat.complaints(fields["messages"], vision=model.vision)
    yield from checks.options(fields, _ranges(model, form))
    yield from prompts.best_of_complaints(fields)
    yield from _logprobs(fields.get("logprobs"), form)
    yield from tools.complaints(fields)
    yield from json_mode.complaints(fields)
    if fields.get("ignore_eos") and not model.vision:
        yield "'/ignore_eos' is for models that take images"


def _ranges(model: Model, form: str) -> dict[str, checks.Range]:
    if form == MESSAGES:
        return checks.ANTHROPIC_RANGES
    if form != CLASSIC:
        return checks.OPENAI_RANGES
    return checks.NEWER_RANGES if model.openai_ranges else checks.RANGES


def _logprobs(logprobs: object, form: str) -> Iterator[str]:
    """A flag for a chat; a completion says how many alternatives it wants."""
    if form == COMPLETION and not isinstance(logprobs, bool | None):
        yield from checks.number(logprobs, "/logprobs", "integer", 0, 20)
    elif logprobs is not None:
        yield from checks.boolean(logprobs, "/logprobs")


__all__ = [
    "CHAT",
    "CLASSIC",
    "COMPLETION",
    "MESSAGES",
    "OPENAI_ROUTE",
    "RESPONSES",
    "TRANSCRIPT",
    "TextRequest",
    "refuse_options",
    "text_generation",
]
