"""``Math``."""

from __future__ import annotations

import math
import random
import struct


class Math:
    """As Python's ``math``; ``round`` is half up."""

    PI, E, SQRT2, SQRT1_2 = math.pi, math.e, math.sqrt(2), math.sqrt(0.5)
    LN2, LN10, LOG2E, LOG10E = math.log(2), math.log(10), 1 / math.log(2), 1 / math.log(10)
    abs = staticmethod(abs)
    floor, ceil, trunc = staticmethod(math.floor), staticmethod(math.ceil), staticmethod(math.trunc)
    sqrt, cbrt, pow = staticmethod(math.sqrt), staticmethod(math.cbrt), staticmethod(math.pow)
    log, log2, log10, log1p = map(staticmethod, (math.log, math.log2, math.log10, math.log1p))
    exp, expm1, hypot, sin = map(staticmethod, (math.exp, math.expm1, math.hypot, math.sin))
    cos, tan, asin = staticmethod(math.cos), staticmethod(math.tan), staticmethod(math.asin)
    acos, atan, atan2 = staticmethod(math.acos), staticmethod(math.atan), staticmethod(math.atan2)
    sinh, cosh, tanh = staticmethod(math.sinh), staticmethod(math.cosh), staticmethod(math.tanh)
    asinh, acosh, atanh = staticmethod(math.asinh), staticmethod(math.acosh), staticmethod(math.atanh)

    @staticmethod
    def min(*values: float) -> float:
        """Infinity of none."""
        return min(values, default=math.inf)

    @staticmethod
    def max(*values: float) -> float:
        """-Infinity of none."""
        return max(values, default=-math.inf)

    @staticmethod
    def sign(value: float) -> int:
        return (value > 0) - (value < 0)

    @staticmethod
    def random() -> float:
        return random.random()  # noqa: S311 (JavaScript's is no better)

    @staticmethod
    def round(value: float) -> int:
        return math.floor(value + 0.5)

    @staticmethod
    def fround(value: float) -> float:
        """In single precision."""
        found: float = struct.unpack("f", struct.pack("f", value))[0]
        return found

    @staticmethod
    def clz32(value: int) -> int:
        return 32 - (int(value) & 0xFFFFFFFF).bit_length()

    @staticmethod
    def imul(one: int, other: int) -> int:
        product = (int(one) * int(other)) & 0xFFFFFFFF
        return product - (1 << 32) if product >> 31 else product


__all__ = ["Math"]
