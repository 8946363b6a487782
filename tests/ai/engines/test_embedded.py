"""The embedded model, as people meet it: easy questions, greedy, one process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.engines.llamacpp.engine import LlamaCppEngine
from engines_support import collect
from models_support import ask, silent, text_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

QUESTIONS = {
    "What is 2 + 2?": "4|four",
    "What color is the sky on a clear day?": "blue",
    "How many days are there in a week?": "7|seven",
    "What is the opposite of hot?": "cold",
    "Who wrote Romeo and Juliet?": "Shakespeare",
    "What is the largest planet in our solar system?": "Jupiter",
    "What do bees make?": "honey",
    "What is the capital of Italy?": "Rome",
    "What is the chemical symbol for water?": "H2O|H₂O",
    "How many legs does a spider have?": "8|eight",
    "What language is spoken in Spain?": "Spanish",
    "Which animal says meow?": "cat",
    "What is the first month of the year?": "January",
    "What is the capital of Japan?": "Tokyo",
    "How many hours are in a day?": "24",
    "What is the freezing point of water in Celsius?": r"\b0|zero",
    "Name a primary color.": "red|blue|yellow",
    "Who was the first president of the United States?": "Washington",
    "What planet do we live on?": "Earth",
    "What is the largest ocean on Earth?": "Pacific",
    "In which city is the Eiffel Tower?": "Paris",
    "What is 10 minus 3?": "7|seven",
    "What is frozen water called?": "ice",
    "What is the capital of Germany?": "Berlin",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[LlamaCppEngine]:
    spec = EngineSpec(engine="llamacpp", model="embedded", options={"n_ctx": 512, "n_parallel": 1})
    engine = await LlamaCppEngine.open(spec, silent)
    yield engine
    await engine.aclose()


async def test_the_capital_of_france(engine: LlamaCppEngine) -> None:
    deltas = await collect(engine, ask("What is the capital of France?"))
    assert text_of(deltas) == "The capital of France is Paris."


async def test_most_easy_questions_are_answered(engine: LlamaCppEngine) -> None:
    """21 of 24 where this was written, 17 under the template in the file. Rounding differs between processors."""
    missed = {}
    for question, right in QUESTIONS.items():
        answer = text_of(await collect(engine, ask(question, max_tokens=40)))
        if not re.search(right, answer, re.IGNORECASE):
            missed[question] = answer
    assert len(missed) <= 5, "\n".join(f"{question} {answer}" for question, answer in missed.items())


async def test_who_gives_a_system_message_is_heard(engine: LlamaCppEngine) -> None:
    said = [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "Hi"}]
    own, none = [
        (await collect(engine, ask(messages=messages, max_tokens=1)))[0].prompt_tokens for messages in (said, said[1:])
    ]
    assert own > none
    assert none < 12  # no message but the user's
