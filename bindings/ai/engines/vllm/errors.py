"""vLLM's exceptions, wherever this version keeps them, as errors of Workers AI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bindings.ai.engine.protocol import EngineError, EngineLost
from bindings.ai.engines.vllm import compat
from bindings.ai.error_table import CAPACITY, ENGINE_REFUSED, INTERNAL


class ErrorTranslator:
    """``dead``: what vLLM raises once its model's process has ended."""

    def __init__(self) -> None:
        self.dead: type[Exception] = compat.get("EngineDeadError")
        self._refused: type[Exception] = compat.get("Refused")
        self._overloaded = compat.find("vllm.exceptions:GracefulHTTPError") or ()

    def translate(self, error: Exception) -> Exception:
        """``error`` as an error of Workers AI; one that has none there stays what it is."""
        try:
            with self.translated():
                raise error
        except Exception as translation:
            return translation

    @contextmanager
    def translated(self) -> Iterator[None]:
        """What vLLM raises within leaves as an ``EngineError``, if the contract has one for it."""
        try:
            yield
        except self.dead:
            raise EngineLost from None
        except self._overloaded:
            raise EngineError(CAPACITY) from None
        except (self._refused, ValueError, TypeError) as error:
            raise EngineError(ENGINE_REFUSED, str(error)) from None


def gave_up(reason: str) -> EngineError:
    """vLLM's own end of a request that nobody here asked for."""
    return EngineError(INTERNAL, f"The model gave the request up: {reason}")


__all__ = ["ErrorTranslator", "gave_up"]
