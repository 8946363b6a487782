"""How weights on a hub are called: ``org/name``, and of GGUF files ``org/name:Q4_K_M`` or ``org/name:FILE.gguf``, as
llama.cpp and Ollama have it."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"(?:https?://[^/]+/|hf\.co/)?([\w-][\w.-]*/[\w-][\w.-]*)(?::([\w-][\w.-]*))?", re.ASCII)
_QUANTIZATION = re.compile(r"(?i)[.-]((?:UD-)?I?Q\d\w*|BF16|F16|F32|MXFP4\w*)(?:-\d+-of-\d+)?\.gguf$")
_PART = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)")


class Wanted(NamedTuple):
    """``variant``: a quantization or a file's name; empty: what the repository is for."""

    repository: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.repository}:{self.variant}" if self.variant else self.repository

    def means(self, file: str) -> bool:
        """Whether ``variant`` is the GGUF file of this name, or its quantization."""
        if self.variant.endswith(".gguf"):
            return self.variant in (file, _PART.sub("", file))
        return quantization(file).lower() == self.variant.lower()


def wanted(name: str) -> Wanted | None:
    """None: nothing on a hub is called so."""
    found = _NAME.fullmatch(name)
    return Wanted(found[1], found[2] or "") if found and ".." not in name else None


def quantization(file: str) -> str:
    """``Q4_K_M``, of ``name-Q4_K_M.gguf``; empty where it says none."""
    found = _QUANTIZATION.search(file)
    return found[1].upper() if found else ""


__all__ = ["Wanted", "quantization", "wanted"]
