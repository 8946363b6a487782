"""``POST /v1/audio/transcriptions`` and ``/v1/audio/translations``: OpenAI's form for recordings.

A form comes in, with the recording as ``file``. What comes out is JSON, text, or captions with the times of segments.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from bindings.ai.answers import sse
from bindings.ai.engine.tasks import Segment
from bindings.ai.errors import bad_input
from bindings.ai.http.auth import Handler
from bindings.ai.http.bodies import read_form
from bindings.ai.http.model_request import ModelRequest
from bindings.ai.http.responses import json_response
from bindings.ai.inputs.checks import Fields
from bindings.ai.inputs.text import TRANSCRIPT
from bindings.ai.service import AIService
from bindings.ai.tasks import checks as check
from bindings.ai.tasks.speech import srt, vtt
from runtime.web import File, FormData, Request, Response

TASK = "Automatic Speech Recognition"
INPUT_NAMES = {"language": "language", "prompt": "initial_prompt"}
CONTENT_TYPES = {"text": "text/plain; charset=utf-8", "srt": "application/x-subrip", "vtt": "text/vtt; charset=utf-8"}


class AudioRest:
    def __init__(self, service: AIService) -> None:
        self._service = service
        self.handlers: dict[str, Handler] = {
            "/audio/transcriptions": partial(self.transcribe, "transcribe"),
            "/audio/translations": partial(self.transcribe, "translate"),
        }

    async def transcribe(self, task: str, request: Request, request_id: str, **_: str) -> Response:
        form = await read_form(request)
        fields: Fields = {name: value for name, value in form.items() if isinstance(value, str) and value}
        call, kind = ModelRequest.from_fields(fields, request), _response_format(fields, form)
        model = self._service.catalog.model(call.model)
        if model.task != TASK:
            raise bad_input(f"{model.id} is a model for {model.task}, not for {TASK}")
        inputs = {ours: fields[theirs] for theirs, ours in INPUT_NAMES.items() if theirs in fields}
        inputs |= {"audio": _recording(form), "task": task}
        answer = await self._service.run(call.model, inputs, call.options, request_id=request_id, form=TRANSCRIPT)
        if fields.get("stream", "").lower() in ("true", "1"):
            return Response(_events(answer.json), headers={**answer.headers, **sse.HEADERS})
        return _response(answer.json, kind, task, answer.headers)


def _recording(form: FormData) -> bytes:
    file = form.get("file")
    if not isinstance(file, File):
        raise bad_input("required properties at '/' are 'file': the recording, as a file")
    return bytes(file)


def _response_format(fields: Fields, form: FormData) -> str:
    kind: str = fields.get("response_format", "json")
    check.refuse(check.choice(kind, "/response_format", ("json", "verbose_json", *CONTENT_TYPES)))
    for name in ("timestamp_granularities[]", "timestamp_granularities"):
        if "word" in form.get_all(name):
            raise bad_input("'/timestamp_granularities' can hold 'segment': the model gives no times of words")
    return kind


def _response(transcript: dict[str, Any], kind: str, task: str, headers: dict[str, str]) -> Response:
    segments = [Segment(**each) for each in transcript["segments"]]
    if (type := CONTENT_TYPES.get(kind)) is not None:
        texts: dict[str, Callable[[], str]] = {
            "text": lambda: transcript["text"] + "\n",
            "srt": lambda: srt(segments),
            "vtt": lambda: vtt(segments),
        }
        return Response(texts[kind](), headers={**headers, "content-type": type})
    body = {"text": transcript["text"], "usage": _usage(transcript)}
    if kind == "verbose_json":
        rows = [
            {"id": number, "seek": 0, **each, "tokens": [], "temperature": 0.0}
            for number, each in enumerate(transcript["segments"])
        ]
        body = {
            "task": task,
            "language": transcript["language"],
            "duration": transcript["duration"],
            **body,
            "segments": rows,
        }
    return json_response(body, headers=headers)


async def _events(transcript: dict[str, Any]) -> AsyncIterator[bytes]:
    """A segment at a time: the model hands over its whole answer."""
    for number, segment in enumerate(transcript["segments"]):
        text = segment["text"] if number == 0 else " " + segment["text"]
        yield sse.event({"type": "transcript.text.delta", "delta": text})
    yield (
        sse.event({"type": "transcript.text.done", "text": transcript["text"], "usage": _usage(transcript)}) + sse.DONE
    )


def _usage(transcript: dict[str, Any]) -> dict[str, Any]:
    return {"type": "duration", "seconds": round(transcript["duration"])}


__all__ = ["AudioRest"]
