"""``env.IMAGES``, the host's half: it hands images to a limited process, and its result back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from typing import IO, Any

import msgspec

from bindings.base import CallError, HostStream
from bindings.images import plan as plans
from bindings.images.failures import BAD_OPTIONS, INTERNAL, TOO_MUCH_WORK, ImageFailure, worded
from bindings.images.limits import CPU_S, MAX_IMAGES, MAX_PLAN_BYTES, WALL_S
from bindings.images.plan import Plan, Request, Result
from bindings.images.spool import new_file, spooled
from bindings.limited.parent import MAX_PROCESSES, answer
from bindings.limited.spare import Spare
from bindings.storage.file_body import FileBody
from runtime.extras import install

MAX_AT_ONCE = 64  # calls of one binding that have files; the others wait
_MODULE = "bindings.images.process"
_ANSWER_BYTES = 64 * 1024


class Processes:
    """Of one supervisor: so many at once, and one that waits."""

    def __init__(self) -> None:
        self.turns, self.spare = asyncio.Semaphore(MAX_PROCESSES), Spare(_MODULE)

    async def aclose(self) -> None:
        await self.spare.aclose()


async def serve(processes: Processes, method: str, args: Sequence[Any]) -> object:
    """One call of the worker's half, ``info(image)`` or ``output(plan, *images)``."""
    operation = "INFO" if method == "info" else "TRANSFORM"
    try:
        if method == "info":
            return (await _run(processes, Plan(), args[:1])).info
        return await _output(processes, _plan(args[0], len(args) - 1), args[1:])
    except ImageFailure as failure:
        message, code = worded(operation, failure.code, str(failure))
        raise CallError("Error", message, code=code) from None
    except OSError as error:
        message, code = worded(operation, INTERNAL, f"the disk for temporary files: {error.strerror}")
        raise CallError("Error", message, code=code) from None


def needed() -> str | None:
    """What to type where Pillow is not installed."""
    return install("images") if find_spec("PIL") is None else None


def _plan(value: object, images: int) -> Plan:
    """Raises ImageFailure for what no plan may be."""
    try:
        plan = plans.parse(value)
    except ValueError as error:
        raise ImageFailure(BAD_OPTIONS, str(error)) from None
    if images > MAX_IMAGES:
        raise ImageFailure(BAD_OPTIONS, f"{images} images; {MAX_IMAGES} are the most")
    if any(max(step.image, step.drawn or 0) >= images for step in plan.steps) or plan.output is None:
        raise ImageFailure(BAD_OPTIONS, "a step is about an image that is not there")
    return plan


async def _output(processes: Processes, plan: Plan, images: Sequence[object]) -> HostStream:
    with ExitStack() as files:
        target = files.enter_context(await asyncio.to_thread(new_file))
        result = await _run(processes, plan, images, target)
        body = FileBody(os.dup(target.fileno()), os.fstat(target.fileno()).st_size)
        return HostStream(body, {"contentType": result.content_type, "length": body.length})


async def _run(processes: Processes, plan: Plan, images: Sequence[object], target: IO[bytes] | None = None) -> Result:
    """Raises ImageFailure."""
    with ExitStack() as files:
        numbers = [files.enter_context(await spooled(image)).fileno() for image in images]
        encoded = msgspec.json.encode(Request(plan, len(numbers)))
        if len(encoded) > MAX_PLAN_BYTES:
            raise ImageFailure(BAD_OPTIONS, f"the transforms take more than {MAX_PLAN_BYTES // 1024} KB")
        if target is not None:
            numbers.append(target.fileno())
        async with processes.turns:
            result = await _asked(processes.spare, encoded, numbers)
    if result.code:
        raise ImageFailure(result.code, result.error)
    return result


async def _asked(spare: Spare, request: bytes, descriptors: Sequence[int]) -> Result:
    try:
        async with spare.running(request, WALL_S, descriptors) as process:
            text = await answer(process, _ANSWER_BYTES)
            status = await process.wait()
    except TimeoutError:
        raise ImageFailure(TOO_MUCH_WORK, f"it took more than {WALL_S} s") from None
    try:
        return msgspec.json.decode(text or b"", type=Result)
    except msgspec.DecodeError:  # it ended before it could answer
        if status in (-signal.SIGXCPU, -signal.SIGKILL):
            raise ImageFailure(TOO_MUCH_WORK, f"it took more than {CPU_S} s of processor time") from None
        raise ImageFailure(INTERNAL, f"ERROR: its process ended ({status})") from None


__all__ = ["MAX_AT_ONCE", "Processes", "needed", "serve"]
