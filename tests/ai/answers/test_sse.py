"""The native stream dialect, byte by byte."""

from __future__ import annotations

import json

from bindings.ai.answers import sse
from bindings.ai.errors import bad_input


def test_a_token_is_one_event() -> None:
    assert sse.token(" New") == b'data: {"response":" New"}\n\n'


def test_text_cannot_break_out_of_its_event() -> None:
    text = 'a\n\ndata: [DONE]\n\n"\\\r\x00\u2028é日🚀'
    event = sse.token(text)
    assert event.endswith(b"\n\n")
    assert b"\n" not in event[:-2]
    assert b"\r" not in event
    assert json.loads(event.removeprefix(b"data: ")) == {"response": text}


def test_padding_has_the_shape_of_the_service() -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    events = [json.loads(sse.padded_token("x").removeprefix(b"data: ")) for _ in range(2000)]
    fillers = [event["p"] for event in events if "p" in event]
    assert all(list(event) in (["response"], ["response", "p"]) for event in events)
    assert all((alphabet * 2).startswith(filler) for filler in fillers)
    assert {len(filler) for filler in fillers} == set(range(1, 50))
    assert 0 < len(events) - len(fillers) < 200


def test_the_end_is_usage_and_done() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    assert sse.last(usage) == (
        b'data: {"response":"","usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}\n\ndata: [DONE]\n\n'
    )


def test_a_failure_is_the_error_envelope() -> None:
    assert sse.failure(bad_input("no").envelope("id")) == (
        b'data: {"errors":[{"message":"AiError: Bad input: Error: no (id)","code":5006}],'
        b'"success":false,"result":{},"messages":[]}\n\n'
    )
