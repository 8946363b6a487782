"""``env.NAME`` of a queue, as a producer sees it. Facts: docs/reference/bindings.md#queues."""

from __future__ import annotations

from bindings.client import BindingClient, options_of
from bindings.queues.bodies import encode
from runtime.values import JsDict, JsException, from_wire


class QueueProducer(BindingClient):
    """https://developers.cloudflare.com/queues/configuration/javascript-apis/"""

    product = "Queue"

    async def send(self, *args: object, **options: object) -> JsDict:
        """``send(body, contentType="json", delaySeconds=None)``, once it is on disk: ``{metadata: {metrics}}``."""
        if not args:
            raise TypeError("send() needs a body")
        given = options_of(args[1:], options, "'send' on 'WorkerQueue': parameter 2", "SendOptions")
        message = (*encode(args[0], given.get("contentType")), _seconds(given.get("delaySeconds")))
        return _sent(await self._call("send", [[list(message)], None]))

    async def sendBatch(self, *args: object, **options: object) -> JsDict:
        """``sendBatch([{"body", "contentType", "delaySeconds"}, ...], delaySeconds=None)``: 1 to 100, all or none."""
        messages = args[0] if args else None
        if not isinstance(messages, list):
            what = "Failed to execute 'sendBatch' on 'WorkerQueue': parameter 1 is not of type 'Sequence'."
            raise JsException(what, "TypeError")
        if not messages:
            raise JsException("sendBatch() requires at least one message", "TypeError")
        given = options_of(args[1:], options, "'sendBatch' on 'WorkerQueue': parameter 2", "SendBatchOptions")
        delay = _seconds(given.get("delaySeconds"))
        return _sent(await self._call("send", [[_message(message) for message in messages], delay]))

    async def metrics(self, *args: object) -> JsDict:
        """``{backlogCount, backlogBytes, oldestMessageTimestamp}``; the time in milliseconds since 1970, 0: none."""
        metrics: JsDict = from_wire(await self._call("metrics", ()))
        return metrics


def _message(message: object) -> list[object]:
    if not isinstance(message, dict) or "body" not in message:
        raise JsException("Incorrect type: the provided value is not of type 'MessageSendRequest'.", "TypeError")
    return [*encode(message["body"], message.get("contentType")), _seconds(message.get("delaySeconds"))]


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    raise JsException("Incorrect type: the provided value is not of type 'number'.", "TypeError")


def _sent(metrics: object) -> JsDict:
    return JsDict(metadata=JsDict(metrics=from_wire(metrics)))


__all__ = ["QueueProducer"]
