"""Where a model's weights are, and how large: on the disk, or by the name that they bear. No library is asked, for
importing Hugging Face's takes longer than the answer may."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bindings.ai.engine import embedded
from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.engine.weights import cached
from bindings.ai.hub.cache import cached_gguf, cached_repository, files_of
from runtime.errors import UserError

_PARAMETERS = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")
_EXPERTS = re.compile(r"\d+x\d|-\d+e(?![a-z0-9])")  # several of them: the name does not say how many parameters in all
_BYTES = {r"awq|gptq|int4|4bit|gpt-oss|q4": 0.56, r"fp8|int8|torchao|q8": 1.05}  # per parameter; else two: bfloat16


def found(spec: EngineSpec) -> Path | None:
    """The file or folder that an engine would read; None: it is not here."""
    if spec.model == embedded.NAME:
        with suppress(UserError):  # no home: nothing is kept
            return cached(embedded.SMOLLM2 if spec.runner == "generate" else embedded.MINILM)
        return None
    path = Path(spec.model)
    return path if path.exists() else cached_gguf(spec.model) or cached_repository(spec.model)


def size_of(path: Path) -> int:
    """Bytes of a file of weights, or of those in a folder."""
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in files_of(path))


def estimate(names: Sequence[str], quantization: str = "") -> int | None:
    """Bytes of the weights of a model with one of these names, to a tenth or so; None: none says how large it is."""
    for name in map(str.lower, names):
        if _EXPERTS.search(name):
            return None
        if count := _PARAMETERS.search(name):
            parameters = float(count[1]) * (1e9 if count[2] == "b" else 1e6)
            return round(parameters * _bytes_each(f"{name} {quantization}"))
    return None


def _bytes_each(text: str) -> float:
    return next((each for pattern, each in _BYTES.items() if re.search(pattern, text)), 2.0)


__all__ = ["estimate", "found", "size_of"]
