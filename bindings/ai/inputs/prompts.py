"""A completion's prompts, as OpenAI takes them: a text, token ids, or a list of either; and the best of its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bindings.ai.engine.accumulator import Choice
from bindings.ai.inputs import checks
from bindings.ai.inputs.checks import Fields

MOST = 128  # prompts in one request
Prompt = str | list[int]


def listed(given: Any) -> list[Any]:
    """Each prompt by itself; token ids are one prompt."""
    return given if isinstance(given, list) and not _is_tokens(given) else [given]


def complaints(given: Any) -> Iterator[str]:
    """What is wrong with a completion's prompt."""
    prompts = listed(given)
    if not prompts:
        yield "Length of '/prompt' must be >= 1"
    if len(prompts) > MOST:
        yield f"'/prompt' must be a list of at most {MOST} prompts"
    for number, prompt in enumerate(prompts):
        at = "/prompt" if prompts is not given else f"/prompt/{number}"
        if isinstance(prompt, list):
            yield from _tokens(prompt, at)
        else:
            yield from checks.text(prompt, at)


def best_of(fields: Fields) -> Iterator[str]:
    """What is wrong with ``best_of``, which is a number, beside ``n`` and ``stream``."""
    made, wanted = fields.get("best_of"), fields.get("n", 1)
    if isinstance(made, int) and isinstance(wanted, int) and made != wanted:
        if made < wanted:
            yield f"'/best_of' must be between {wanted}, which is 'n', and 128"
        elif fields.get("stream") in (True, "true"):
            yield "'/best_of' must be 'n' in a stream: the best are known at the end"


def best(choices: Sequence[Choice], made: int, wanted: int) -> list[Choice]:
    """Of each prompt's ``made`` answers the ``wanted`` likeliest, by their tokens' mean log probability."""
    if made == wanted:
        return list(choices)
    groups = (choices[at : at + made] for at in range(0, len(choices), made))
    return [choice for group in groups for choice in sorted(group, key=_likelihood, reverse=True)[:wanted]]


def _likelihood(choice: Choice) -> float:
    whole: float = sum(token["logprob"] for token in choice.logprobs)
    return whole / max(1, len(choice.logprobs))


def _is_tokens(given: list[Any]) -> bool:
    return bool(given) and isinstance(given[0], int)


def _tokens(ids: list[Any], at: str) -> Iterator[str]:
    if not ids:
        yield f"Length of '{at}' must be >= 1"
    for number, id in enumerate(ids):
        yield from checks.number(id, f"{at}/{number}", "integer", 0, 2**31 - 1)


__all__ = ["Prompt", "best", "best_of", "complaints", "listed"]
