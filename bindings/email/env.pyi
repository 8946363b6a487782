"""What type checkers are told of ``env.NAME`` of ``[[send_email]]``: ``worker.py`` does it."""

from collections.abc import Mapping
from typing import Any

from bindings.email.message import EmailMessage
from runtime.values import JsDict

class SendEmail:
    async def send(self, message: EmailMessage | Mapping[str, Any] = ..., **fields: Any) -> JsDict: ...
