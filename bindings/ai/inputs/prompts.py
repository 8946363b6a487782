"""A completion's prompts, as OpenAI takes them: a text, token ids, or a list of either; and the best of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bindings.ai.engines.accumulator import Choice
from bindings.ai.inputs import checks
from bindings.ai.inputs.checks import Fields

MAX_PROMPTS = 128  # in one request
Prompt = str | list[int]


def as_list(prompt: object) -> list[Any]:
    """Each prompt by itself; token ids are one prompt."""
    return prompt if isinstance(prompt, list) and not _is_tokens(prompt) else [prompt]


def complaints(prompt: object) -> Iterator[str]:
    """What is wrong with a completion's prompt."""
    prompts = as_list(prompt)
    if not prompts:
        yield "Length of '/prompt' must be >= 1"
    if len(prompts) > MAX_PROMPTS:
        yield f"'/prompt' must be a list of at most {MAX_PROMPTS} prompts"
    for number, each in enumerate(prompts):
        at = "/prompt" if prompts is not prompt else f"/prompt/{number}"
        if isinstance(each, list):
            yield from _tokens(each, at)
        else:
            yield from checks.text(each, at)


def best_of_complaints(fields: Fields) -> Iterator[str]:
    """What is wrong with ``best_of``, which is a number, beside ``n`` and ``stream``."""
    best_of, n = fields.get("best_of"), fields.get("n", 1)
    if isinstance(best_of, int) and isinstance(n, int) and best_of != n:
        if best_of < n:
            yield f"'/best_of' must be between {n}, which is 'n', and 128"
        elif fields.get("stream") in (True, "true"):
            yield "'/best_of' must be 'n' in a stream: the best are known at the end"


def best_choices(choices: Sequence[Choice], best_of: int, n: int) -> list[Choice]:
    """Of each prompt's ``best_of`` answers the ``n`` likeliest, by their tokens' mean log probability."""
    if best_of == n:
        return list(choices)
    groups = (choices[at : at + best_of] for at in range(0, len(choices), best_of))
    return [choice for group in groups for choice in sorted(group, key=_likelihood, reverse=True)[:n]]


def _likelihood(choice: Choice) -> float:
    total: float = sum(token["logprob"] for token in choice.logprobs)
    return total / max(1, len(choice.logprobs))


def _is_tokens(prompt: list[Any]) -> bool:
    return bool(prompt) and isinstance(prompt[0], int)


def _tokens(ids: list[Any], at: str) -> Iterator[str]:
    if not ids:
        yield f"Length of '{at}' must be >= 1"
    for number, id in enumerate(ids):
        yield from checks.number(id, f"{at}/{number}", "integer", 0, 2**31 - 1)


__all__ = ["Prompt", "as_list", "best_choices", "best_of_complaints", "complaints"]
