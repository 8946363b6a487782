"""Options of ``asgi`` and ``wsgi``: ``asgi.fetch(app, request, env, options=asgi.Options(encode_body="manual"))``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal, get_args

sys.modules[f"{__name__}.options"] = sys.modules[__name__]  # as the SDK's package has them
EncodeBody = Literal["automatic", "manual"]


@dataclass(frozen=True, kw_only=True)
class BaseOptions:
    """``encode_body``: whether the runtime compresses an answer that says ``Content-Encoding`` ("automatic"), or the
    application has ("manual", as without options). Raises ValueError for anything else."""

    encode_body: EncodeBody = "automatic"

    def __post_init__(self) -> None:
        if self.encode_body not in get_args(EncodeBody):
            raise ValueError(f"encode_body must be one of {get_args(EncodeBody)}, got {self.encode_body!r}")

    def response_init(self) -> dict[str, str]:
        """Options of ``Response`` by it, but for the usual."""
        return {} if self.encode_body == "automatic" else {"encodeBody": self.encode_body}


class Options(BaseOptions):
    """Those of one application."""


__all__ = ["BaseOptions", "EncodeBody", "Options"]
