"""What a bucket may be called, and how much one put may bring. https://developers.cloudflare.com/r2/platform/limits/"""

from __future__ import annotations

import re

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
MAX_PUT_BYTES = 5 * 1024**3 - 5 * 1024**2  # of an object that is not put in parts

__all__ = ["BUCKET_NAME", "MAX_PUT_BYTES"]
