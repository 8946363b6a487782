"""Which NVIDIA GPUs are here: asked of the driver's own library, NVML, which answers in milliseconds without CUDA.

https://docs.nvidia.com/deploy/nvml-api/
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

LIBRARY = "libnvidia-ml.so.1"
_MAX_TEXT_BYTES = 96


class Gpu(msgspec.Struct, frozen=True):
    """``memory`` and ``free`` are bytes."""

    name: str
    memory: int
    free: int


class Driver(msgspec.Struct, frozen=True):
    """``cuda``: the newest CUDA that the driver runs, as (major, minor)."""

    version: str
    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...]


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_uint64), ("free", ctypes.c_uint64), ("used", ctypes.c_uint64))


class _Failed(Exception):
    pass


def driver() -> Driver | None:
    """None: there is none here, or it does not answer."""
    try:
        with _library() as nvml:
            return Driver(_text(nvml.nvmlSystemGetDriverVersion), _cuda(nvml), tuple(_gpus(nvml)))
    except (OSError, AttributeError, _Failed):
        return None


@contextmanager
def _library() -> Iterator[Any]:
    nvml = ctypes.CDLL(LIBRARY)
    _done(nvml.nvmlInit_v2())
    try:
        yield nvml
    finally:
        nvml.nvmlShutdown()


def _gpus(nvml: Any) -> Iterator[Gpu]:
    count = ctypes.c_uint()
    _done(nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)))
    for number in range(count.value):
        device, memory = ctypes.c_void_p(), _Memory()
        _done(nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(number), ctypes.byref(device)))
        _done(nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)))
        yield Gpu(_text(nvml.nvmlDeviceGetName, device), memory.total, memory.free)


def _cuda(nvml: Any) -> tuple[int, int]:
    """NVML writes 12.8 as 12080."""
    number = ctypes.c_int()
    _done(nvml.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(number)))
    return number.value // 1000, number.value % 1000 // 10


def _text(ask: Any, *of: Any) -> str:
    buffer = ctypes.create_string_buffer(_MAX_TEXT_BYTES)
    _done(ask(*of, buffer, ctypes.c_uint(_MAX_TEXT_BYTES)))
    return buffer.value.decode("utf-8", "replace")


def _done(result: int) -> None:
    if result:
        raise _Failed(result)


__all__ = ["LIBRARY", "Driver", "Gpu", "driver"]
