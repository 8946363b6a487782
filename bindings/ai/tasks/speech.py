"""Automatic Speech Recognition: a recording → its text, with the times that the model gives.

Facts: docs/reference/workers-ai.md#tasks.

Whisper on vLLM gives times per segment, none per word: ``words`` is left out rather than made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from bindings.ai.engine.tasks import Segment, Transcribe, Transcribed
from bindings.ai.inputs.blobs import file_of
from bindings.ai.inputs.checks import Fields
from bindings.ai.inputs.text import TRANSCRIPT
from bindings.ai.tasks import checks as check
from bindings.ai.tasks.registry import TaskRequest

TASKS = ("transcribe", "translate")


async def answer(inputs: object, request: TaskRequest) -> dict[str, Any]:
    """``{audio}`` or the recording alone as bytes → ``{text, word_count, vtt}``, with more for the turbo model."""
    fields = {"audio": inputs} if isinstance(inputs, bytes) else check.fields_of(inputs)
    check.refuse(_complaints(fields))
    transcribed: Transcribed = await request.perform(_transcribe(fields))
    text = " ".join(segment.text for segment in transcribed.segments)
    if request.form == TRANSCRIPT:
        return {
            "text": text,
            "language": transcribed.language,
            "duration": transcribed.duration,
            "segments": [msgspec.structs.asdict(segment) for segment in transcribed.segments],
        }
    result = {"text": text, "word_count": len(text.split()), "vtt": vtt(transcribed.segments)}
    return result if request.model.form != "turbo" else _turbo(transcribed, result)


def _transcribe(fields: Fields) -> Transcribe:
    return Transcribe(
        audio=file_of(fields["audio"], "/audio"),
        language=fields.get("language"),
        translate=fields.get("task") == "translate",
        prompt=fields.get("initial_prompt", ""),
    )


def _turbo(transcribed: Transcribed, result: dict[str, Any]) -> dict[str, Any]:
    info = {"language": transcribed.language, "duration": transcribed.duration}
    segments = [
        {"start": each.start, "end": each.end, "text": each.text, "word_count": len(each.text.split())}
        for each in transcribed.segments
    ]
    vtt = result.pop("vtt")
    return {"transcription_info": info, **result, "segments": segments, "vtt": vtt}


def vtt(segments: list[Segment]) -> str:
    """WebVTT captions."""
    cues = [f"{_clock(segment.start)} --> {_clock(segment.end)}\n{segment.text}\n" for segment in segments]
    return "\n".join(["WEBVTT\n", *cues])


def srt(segments: list[Segment]) -> str:
    """SubRip captions."""
    cues = [
        f"{number}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{segment.text}\n"
        for number, segment in enumerate(segments, 1)
    ]
    return "\n".join(cues)


def _clock(seconds: float, point: str = ".") -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _complaints(fields: Fields) -> Iterator[str]:
    if "audio" not in fields:
        yield check.missing(fields, "audio")
    if "task" in fields:
        yield from check.choice(fields["task"], "/task", TASKS)
    for name in ("language", "initial_prompt"):
        if name in fields:
            yield from check.text(fields[name], f"/{name}")
    for name in ("vad_filter", "prefix"):
        if fields.get(name):
            yield f"'/{name}' is not served here"


__all__ = ["answer", "srt", "vtt"]
