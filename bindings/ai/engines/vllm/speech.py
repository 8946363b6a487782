"""Speech to text by Whisper on vLLM.

A recording is decoded to 16 kHz mono, cut at quiet places into pieces of at most 30 s, and each piece is written down
on its own, with the times of its segments. The decoder's prompt follows Whisper's own: what was said before, the
language (found out from the first piece where nobody says it), the task, and the first time stamp.

Formats: ``FORMATS``, read by PyAV (FFmpeg). Options are the fields of ``AsyncEngineArgs``.
"""

from __future__ import annotations

import asyncio
import io
from contextlib import aclosing
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

from bindings.ai.engine.protocol import EngineError, EngineInfo, EngineSpec, Progress, bad_input
from bindings.ai.engine.tasks import Segment, Task, Transcribe, Transcribed
from bindings.ai.engines import hub
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.errors import ErrorTranslator
from bindings.ai.engines.vllm.interfaces import AsyncLLM
from bindings.ai.engines.vllm.load import describe, load
from bindings.ai.error_table import INTERNAL, NO_SUCH_MODEL

if TYPE_CHECKING:
    import numpy as np

    Samples = np.ndarray[tuple[int], np.dtype[np.float32]]

SAMPLE_RATE_HZ = 16_000
PIECE_S = 30.0  # that Whisper hears at a time
TIMESTAMP_STEP_S = 0.02  # between two time stamps
MAX_DURATION_S = 2 * 3600.0  # a small file may hold days of silence
FORMATS = "wav,w64,aiff,au,caf,flac,mp3,aac,ogg,mov,matroska,asf,amr"  # none that names other files, as playlists do


class VLLMSpeech:
    def __init__(self, llm: AsyncLLM, info: EngineInfo) -> None:
        self.info, self.live = info, 0
        self._llm, self._errors = llm, ErrorTranslator()
        self._vocabulary = _Vocabulary(llm)

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> VLLMSpeech:
        """Load the model; tens of seconds. Raises UserError with a remedy."""
        await asyncio.to_thread(hub.check_available, spec.model)
        progress("load", None)
        llm = await asyncio.to_thread(load, spec.model, dict(spec.options), compat.SPEECH)
        return cls(llm, describe(llm, spec.model))

    @property
    def alive(self) -> bool:
        return not self._llm.errored

    async def perform(self, task: Task, request_id: str) -> Transcribed:
        """Raises EngineError: 5006 for what is no recording or no language, 5007 for any other task."""
        if not isinstance(task, Transcribe):
            raise EngineError(NO_SUCH_MODEL, f"{self.info.model} writes down speech and nothing else")
        self.live += 1
        try:
            with self._errors.translated():
                return await self._transcribe(task, request_id)
        finally:
            self.live -= 1

    async def _transcribe(self, task: Transcribe, request_id: str) -> Transcribed:
        language = self._vocabulary.checked(task.language)
        samples = await asyncio.to_thread(_samples, task.audio)
        pieces = await asyncio.to_thread(_pieces, samples)
        language = language or await self._language(pieces[0], request_id)
        found, start = Transcribed(segments=[], language=language, duration=len(samples) / SAMPLE_RATE_HZ), 0.0
        for number, piece in enumerate(pieces):
            prompt = self._vocabulary.prompt(language, task)
            tokens = await self._decode(piece, prompt, f"{request_id}-{number}")
            found.segments += self._vocabulary.segments(tokens, start, len(piece) / SAMPLE_RATE_HZ)
            start += len(piece) / SAMPLE_RATE_HZ
        return found

    async def _language(self, piece: Samples, request_id: str) -> str:
        """The likeliest, by the first token after the start."""
        words = self._vocabulary
        if not words.languages:
            return "en"
        (token,) = await self._decode(
            piece, [words.start], f"{request_id}-language", max_tokens=1, allowed_token_ids=list(words.languages)
        )
        return words.languages[token]

    async def _decode(self, piece: Samples, prompt: list[int], request_id: str, **params: Any) -> list[int]:
        """The tokens that follow ``prompt``."""
        limit = {"max_tokens": self.info.context_window - len(prompt), **params} if self.info.context_window else params
        sampling = compat.get("SamplingParams")(temperature=0, skip_special_tokens=False, **limit)
        heard = {"prompt": "", "multi_modal_data": {"audio": (piece, SAMPLE_RATE_HZ)}}
        (ready,) = await self._llm.renderer.render_cmpl_async(
            [{"encoder_prompt": heard, "decoder_prompt": {"prompt_token_ids": prompt}}]
        )
        tokens: list[int] = []
        async with aclosing(self._llm.generate(ready, sampling, request_id)) as outputs:
            async for output in outputs:
                tokens = list(output.outputs[0].token_ids)
        return tokens

    async def aclose(self) -> None:
        if self._llm.output_handler is not None:
            self._llm.output_handler.cancel()  # or it would report the end as a crash
        await asyncio.to_thread(self._llm.shutdown, 3.0)


class _Vocabulary:
    """Whisper's vocabulary: its special tokens, and what tokens say."""

    def __init__(self, llm: AsyncLLM) -> None:
        self._tokenizer = llm.get_tokenizer()
        self.start, self._zero = self._id("<|startoftranscript|>"), self._id("<|0.00|>")
        config = llm.model_config.try_get_generation_config()
        known = compat.get("languages")
        ids: dict[int, str] = {self._tokenizer.convert_tokens_to_ids(f"<|{code}|>"): code for code in known}
        ids.pop(self._tokenizer.unk_token_id, None)
        self.languages = ids if config.get("is_multilingual", True) else {}

    def _id(self, token: str) -> int:
        return int(self._tokenizer.convert_tokens_to_ids(token))

    def checked(self, language: str | None) -> str | None:
        if language is None or language in self.languages.values() or (language == "en" and not self.languages):
            return language
        raise bad_input(f"'/language' {language[:16]!r} is not one of the model's")

    def prompt(self, language: str, task: Transcribe) -> list[int]:
        """What the decoder is given before the first word. The text before is kept to half of the decoder's room."""
        before = self._tokenizer.encode(" " + task.prompt.strip(), add_special_tokens=False) if task.prompt else []
        head = [self._id("<|startofprev|>"), *before[-200:]] if before else []
        kind = "<|translate|>" if task.translate else "<|transcribe|>"
        tags = [self._id(f"<|{language}|>"), self._id(kind)] if self.languages else []
        return [*head, self.start, *tags, self._zero]

    def segments(self, tokens: list[int], offset: float, duration: float) -> list[Segment]:
        """A segment lies between two time stamps; the last may lack its second one."""
        found, start, words = [], 0.0, list[int]()
        for token in [*tokens, None]:
            if token is not None and token < self._zero:
                words.append(token)
                continue
            time = duration if token is None else min((token - self._zero) * TIMESTAMP_STEP_S, duration)
            if text := self._tokenizer.decode(words, skip_special_tokens=True).strip():
                found.append(Segment(round(offset + start, 2), round(offset + max(start, time), 2), text))
            start, words = time, []
        return found


def _samples(audio: bytes) -> Samples:
    """The recording as float32 at 16 kHz, one channel. (vLLM's own loader leaves 16-bit samples unscaled.)"""
    try:
        samples = _decoded(audio)
    except ImportError as error:
        raise EngineError(INTERNAL, f"Recordings cannot be read here: {error}; pip install av") from None
    except (OSError, ValueError) as error:  # FFmpeg's are among these
        reason = getattr(error, "strerror", None) or error
        raise bad_input(f"'/audio' cannot be read: {reason}") from None
    if not len(samples):
        raise bad_input("'/audio' holds no sound")
    return samples


def _decoded(audio: bytes) -> Samples:
    import numpy as np

    av = import_module("av")
    resampler, parts, length = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ), [np.zeros(0, np.float32)], 0
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    with av.open(io.BytesIO(audio), options=options) as recording:
        if not recording.streams.audio:
            raise ValueError("it has no sound")
        for frame in chain(recording.decode(audio=0), [None]):  # None: what the resampler still holds
            parts += [each.to_ndarray()[0] for each in resampler.resample(frame)]
            length += len(parts[-1])
            if length > MAX_DURATION_S * SAMPLE_RATE_HZ:
                raise ValueError(f"it is longer than {MAX_DURATION_S / 3600:g} hours")
    return np.concatenate(parts)


def _pieces(samples: Samples) -> list[Samples]:
    if len(samples) <= PIECE_S * SAMPLE_RATE_HZ:
        return [samples]
    split = compat.get("split_audio")
    pieces: list[Samples] = split(samples, SAMPLE_RATE_HZ, PIECE_S, 1.0, SAMPLE_RATE_HZ // 10)
    return pieces
