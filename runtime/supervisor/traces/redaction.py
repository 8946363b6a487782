"""Header values that are shown to who may read a worker's tail, but not use its clients' credentials.

By the header's name, as Cloudflare does it
(https://developers.cloudflare.com/workers/runtime-apis/handlers/tail/#tailrequest), with a few words more; and by what
the value looks like, under whatever name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

REDACTED = "REDACTED"
_NAME = re.compile(r"auth|key|secret|token|jwt|cookie|session|passw|credential|signature|csrf|xsrf|assertion")
_VALUE = re.compile(
    r"(?i:bearer|basic|digest|negotiate|aws4-hmac-sha256)\s"  # RFC 9110, section 11.6.2
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\."  # a JWT: RFC 7519
    r"|\b(?:pilot_|sk-|sk_|ghp_|github_pat_|xox[abp]-|AKIA)[\w-]{12,}"  # keys that say themselves what they are
)


def redacted(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """Names in lower case. Of several of one name, the last."""
    pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    return {name: REDACTED if _NAME.search(name) or _VALUE.search(value) else value for name, value in pairs}


__all__ = ["REDACTED", "redacted"]
