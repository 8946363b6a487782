"""``env.NAME`` of ``[[send_email]]``, as the worker sees it. Facts: docs/reference/bindings.md#email."""

from __future__ import annotations

from bindings.client import BindingClient
from bindings.email.message import call_of
from runtime.values import JsDict


class SendEmail(BindingClient):
    """https://developers.cloudflare.com/email-routing/email-workers/send-email-workers/"""

    product = "SendEmail"

    async def send(self, *args: object, **options: object) -> JsDict:
        """``send(EmailMessage.new(from, to, raw))`` or ``send({"from", "to", "subject", "text", "html", ...})``:
        ``{messageId}``, once the message is on the disk."""
        method, sent = call_of(args[0] if args else dict(options), "send", "build")
        return JsDict(messageId=await self._call(method, sent))


__all__ = ["SendEmail"]
