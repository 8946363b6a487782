"""The table from token to text against the decoding it stands for, for the kinds of tokenizers that models have."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

pytest.importorskip("vllm")

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bindings.ai.engines.vllm.streams.text import TableDetokenizer, table
from bindings.ai.engines.vllm.streams.tokens import quicken

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch, while it is imported
]

SAMPLES = [
    "one two three four five",
    "你好，世界 — 東京 한국어",
    "🙂👍🏽👩‍👩‍👧 flags 🇨🇿",
    "žluťoučký kůň  úpěl",
    "a\n\n\tb  c ",
    "replacement \ufffd inside",
    "",
    " ",
    "x",
]


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        SAMPLES * 3,
        trainers.BpeTrainer(
            vocab_size=420,
            show_progress=False,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer.add_tokens(["<think>", "<é>"])
    return tokenizer


def byte_fallback(*, strip: bool) -> Tokenizer:
    """As sentencepiece's: a word begins with ▁, and a character that has no token is spelt in bytes."""
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁one", "▁two", "one", "你", "▁▁", "x", "a"]
    tokenizer = Tokenizer(
        models.BPE({word: number for number, word in enumerate(words)}, [], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)] if strip else parts)
    tokenizer.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    return tokenizer


MORE = 3  # a model's vocabulary may be larger than its tokenizer's
KINDS = {
    "byte level": byte_level,
    "byte fallback": lambda: byte_fallback(strip=False),
    "byte fallback, stripped": lambda: byte_fallback(strip=True),
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=KINDS[request.param]())


def test_short_texts_become_the_same_tokens(tokenizer: Any) -> None:
    asked = {"truncation": True, "max_length": 500}
    texts = [*SAMPLES, "<s>one</s>", "one <think> two", "a " * 900, "one " * 240]
    before = [
        tokenizer(text, add_special_tokens=special, **asked)["input_ids"] for text in texts for special in (True, False)
    ]
    quicken(quick := copy.deepcopy(tokenizer))
    assert type(quick) is not type(tokenizer)
    assert before == [
        quick(text, add_special_tokens=special, **asked)["input_ids"] for text in texts for special in (True, False)
    ]
    assert len(quick("one " * 240, add_special_tokens=False, truncation=True, max_length=100)["input_ids"]) == 100
    assert quick(["one", "two"])["input_ids"] == tokenizer(["one", "two"])["input_ids"]


def test_a_tokenizer_that_does_more_than_its_library_stays_as_it_is() -> None:
    from transformers import PreTrainedTokenizerFast

    class Loud(PreTrainedTokenizerFast):  # type: ignore[misc]
        def __call__(self, text: Any = None, *args: Any, **named: Any) -> Any:
            return super().__call__(text.upper(), *args, **named)

    quicken(loud := Loud(tokenizer_object=byte_level()))
    assert type(loud) is Loud
    quicken(None)


def own(tokenizer: Any, prompt: list[int]) -> tuple[Any, Any]:
    """vLLM's request for the prompt, and its detokenizer for that."""
    from vllm import SamplingParams
    from vllm.v1.engine import EngineCoreRequest
    from vllm.v1.engine.detokenizer import IncrementalDetokenizer

    request = EngineCoreRequest(
        request_id="r",
        prompt_token_ids=prompt,
        mm_features=None,
        sampling_params=SamplingParams(),
        pooling_params=None,
        arrival_time=0,
        lora_request=None,
        cache_salt=None,
        data_parallel_rank=None,
    )
    return request, IncrementalDetokenizer.from_new_request(tokenizer, request)


def same(tokenizer: Any, prompt: list[int], answer: list[int]) -> None:
    texts = table(tokenizer, len(tokenizer) + MORE)
    assert texts is not None
    request, theirs = own(tokenizer, prompt)
    ours = TableDetokenizer(texts, tokenizer, request)
    said = [(ours.add(number), theirs.decode_next(number)) for number in answer]
    assert [our for our, _ in said] == [their for _, their in said]


@pytest.mark.parametrize("sample", SAMPLES)
def test_texts_of_every_kind(tokenizer: Any, sample: str) -> None:
    prompt = tokenizer._tokenizer.encode("one two", add_special_tokens=False).ids
    same(tokenizer, prompt, tokenizer._tokenizer.encode(sample, add_special_tokens=False).ids)


@pytest.mark.parametrize("seed", range(60))
def test_any_tokens_in_any_order(tokenizer: Any, seed: int) -> None:
    chance = random.Random(seed)
    numbers = range(len(tokenizer) + MORE)
    prompt = [chance.randrange(len(tokenizer)) for _ in range(chance.randint(1, 4))]
    same(tokenizer, prompt, chance.choices(numbers, k=chance.choice([5, 50, 400])))


def test_a_prompt_of_special_tokens_alone(tokenizer: Any) -> None:
    prompt = tokenizer._tokenizer.encode("<s>", add_special_tokens=False).ids
    same(tokenizer, prompt, tokenizer._tokenizer.encode(" one two", add_special_tokens=False).ids)


def test_nearly_every_token_is_in_the_table(tokenizer: Any) -> None:
    texts = table(tokenizer, len(tokenizer) + MORE)
    assert texts is not None
    assert len(texts) == len(tokenizer) + MORE
    assert max(map(len, filter(None, texts))) >= 3
    assert texts[tokenizer.convert_tokens_to_ids("</s>")] == ""
    parts = [number for number, text in enumerate(texts) if text is None]
    assert len(parts) <= 256 + 2


@pytest.mark.parametrize("decoder", [None, decoders.WordPiece(), decoders.CTC(), decoders.Metaspace()])
def test_other_decoders_are_left_to_vllm(decoder: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = byte_level()
    tokenizer.decoder = decoder
    assert table(PreTrainedTokenizerFast(tokenizer_object=tokenizer), 100) is None
    assert table(object(), 100) is None
