"""vLLM's outputs as deltas: the text parted into what is said, thought and called, and each token's odds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bindings.ai.engine import features
from bindings.ai.engine.protocol import Delta, Extra, Generate
from bindings.ai.engines import tool_calls
from bindings.ai.engines.vllm.errors import gave_up
from bindings.ai.engines.vllm.interfaces import (
    ChatRequest,
    CompletionOutput,
    Logprob,
    Parser,
    Prompt,
    RequestOutput,
    SamplingParams,
)


class OutputReader:
    """One of a request's answers. ``make`` makes vLLM's parser for ``chat``, vLLM's request; None for plain text."""

    def __init__(self, make: Callable[[], Parser | None], chat: ChatRequest | None, request: Generate) -> None:
        self._make, self.parser, self._chat, self._logprobs = make, make(), chat, request.logprobs
        self._whole, self._text, self._ids = request.whole, "", list[int]()  # what is to be parsed at the end
        self._has_schema = request.json_schema is not None  # and a grammar, which may fail when it is made
        self._only_one_call = not request.parallel_tool_calls
        explained = chat is not None and chat.tool_choice == "none"  # the tools are explained in words
        self._calls = tool_calls.ToolCallReader(bare=True) if explained and features.forced(request) else None
        self._called, self._begun = False, False

    def read(self, output: CompletionOutput, result: RequestOutput) -> Delta:
        """``output``: what a step has added to this answer; ``result``: to the request."""
        reason = output.finish_reason
        if reason in ("abort", "error"):
            raise features.no_json() if self._has_schema and reason == "error" and not self._begun else gave_up(reason)
        text, more = self._split(output, result)
        if output.index:
            more["index"] = output.index
        if self._logprobs is not None and output.logprobs:
            more["logprobs"] = [
                _logprobs(number, found, self._logprobs)
                for number, found in zip(output.token_ids, output.logprobs, strict=True)
            ]
        if not self._begun and result.num_cached_tokens:
            more["cached_tokens"] = result.num_cached_tokens
        if isinstance(output.stop_reason, str):
            more["stop_sequence"] = output.stop_reason
        self._begun = True
        reason = "tool_calls" if reason == "stop" and self._called else reason
        return Delta(text, len(output.token_ids), len(result.prompt_token_ids), reason, Extra(**more) if more else None)

    def _split(self, output: CompletionOutput, result: RequestOutput) -> tuple[str, dict[str, Any]]:
        """(what is said, the fields of an Extra)."""
        text, more = self._parse(output, result) if self.parser is not None else (output.text, {})
        if self._calls is not None:
            reason = output.finish_reason
            text, calls = self._calls.read(text, last=reason is not None, cut=reason == "length")
            more |= {"tool_calls": calls} if calls else {}
        self._called |= "tool_calls" in more
        return text, more

    def _parse(self, output: CompletionOutput, result: RequestOutput) -> tuple[str, dict[str, Any]]:
        text, ids, finished = output.text, list(output.token_ids), output.finish_reason is not None
        if self._whole:
            text, ids = self._text, self._ids = self._text + text, self._ids + ids
            if not finished:
                return "", {}
            if output.finish_reason == "stop" and (found := self._whole_calls(text, ids)):
                return found
        return self._parse_delta(text, ids, result.prompt_token_ids, finished)

    def _whole_calls(self, text: str, ids: list[int]) -> tuple[str, dict[str, Any]] | None:
        """As ``vllm serve`` reads an answer in one piece. None without a call, and a new parser, for one reads once."""
        assert self.parser is not None
        assert self._chat is not None
        if not self._chat.tools or self._chat.tool_choice == "none":
            return None
        thought, said, calls = self.parser.parse(text, self._chat, enable_auto_tools=True, model_output_token_ids=ids)
        if not calls:
            self.parser = self._make()
            return None
        shown = calls[:1] if self._only_one_call else calls
        more = {"tool_calls": [tool_calls.call_of(call.model_dump(), at, call.id) for at, call in enumerate(shown)]}
        return said or "", {**more, "reasoning": thought or ""}

    def _parse_delta(self, text: str, ids: list[int], prompt: list[int], finished: bool) -> tuple[str, dict[str, Any]]:
        assert self.parser is not None
        assert self._chat is not None
        message = self.parser.parse_delta(
            delta_text=text, delta_token_ids=ids, request=self._chat, prompt_token_ids=prompt, finished=finished
        )
        if message is None:
            return "", {}
        more: dict[str, Any] = {"reasoning": message.reasoning} if message.reasoning else {}
        calls = [call for call in message.tool_calls if not (self._only_one_call and call.index)]
        if calls:
            more["tool_calls"] = [call.model_dump(exclude_none=True) for call in calls]
        return message.content or "", more


class GenerateCall(NamedTuple):
    """A request as ``AsyncLLM.generate`` takes it: ``options`` are its keyword arguments; a reader for each answer."""

    prompt: Prompt
    params: SamplingParams
    readers: list[OutputReader]
    options: dict[str, Any]


def _logprobs(number: int, found: dict[int, Logprob], count: int) -> dict[str, Any]:
    """OpenAI's form: the token chosen and the ``count`` likeliest in its place."""
    likeliest = sorted(found.values(), key=lambda one: -one.logprob)[:count]
    return {**_token(found[number]), "top_logprobs": [_token(one) for one in likeliest]}


def _token(one: Logprob) -> dict[str, Any]:
    text = one.decoded_token or ""
    return {"token": text, "logprob": max(one.logprob, -9999.0), "bytes": list(text.encode("utf-8", "replace"))}


__all__ = ["GenerateCall", "OutputReader"]
