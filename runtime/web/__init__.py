"""The Web API types that workers are written with. A leaf: it knows nothing of the rest of the runtime.

Reading order: ``headers``, ``streams``, ``body``, then ``request`` and ``response``, then ``fetching``.
"""

from __future__ import annotations

from runtime.web.abort import AbortController, AbortError, AbortSignal
from runtime.web.blobs import Blob, BlobEnding, File
from runtime.web.fetching import fetch, set_transport
from runtime.web.forms import FormData
from runtime.web.headers import Headers
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.streams import ReadableStream, to_bytes
from runtime.web.url import URL, URLSearchParams

__all__ = [
    "URL", "AbortController", "AbortError", "AbortSignal", "Blob", "BlobEnding", "File", "FormData",
    "Headers", "ReadableStream", "Request", "Response", "URLSearchParams", "fetch",
    "set_transport", "to_bytes",
]  # fmt: skip
