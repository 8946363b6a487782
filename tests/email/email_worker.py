"""A worker that sends mail, and one that deals with what comes in."""

import json

from pyodide.ffi import JsException

from workers import URL, Response, WorkerEntrypoint, import_from_javascript

EmailMessage = None


def message(*args):
    return import_from_javascript("cloudflare:email").EmailMessage.new(*args)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        """?binding=MAIL: a message as the body with ?from= and ?to=, or without them a builder as JSON."""
        query = URL(request.url).searchParams
        mail = getattr(self.env, query.get("binding") or "MAIL")
        try:
            if query.get("from"):
                raw = await request.text() if query.get("as") == "text" else request.body
                sent = await mail.send(message(query.get("from"), query.get("to"), raw))
            else:
                sent = await mail.send(json.loads(await request.text()))
        except JsException as error:
            return Response(str(error), status=400)
        return Response.json({"messageId": sent.messageId, **sent})

    async def email(self, message):
        subject = message.headers.get("subject")
        sender = message["from"]
        assert getattr(message, "from") == sender
        assert message.canBeForwarded
        if subject == "read":
            content = b"".join([chunk async for chunk in message.raw])
            assert len(content) == message.rawSize
            message.setReject(f"{sender} {message.to} {content[-5:]!r}")
        elif subject == "reject":
            message.setReject("go away")
        elif subject == "forward":
            sent = await message.forward("team@example.com", {"X-Seen": "yes"})
            assert sent.messageId.endswith("@example.com>")
        elif subject == "forward badly":
            await message.forward("no address")
        elif subject.startswith("reply "):
            await self.reply(message, json.loads(subject.removeprefix("reply ")))
        elif subject == "builder":
            await message.reply({"from": "me@example.com", "subject": "Re", "text": "hello"})
        elif subject == "fail":
            raise ValueError("not this one")

    async def reply(self, received, headers):
        head = {
            "From": "me@example.com",
            "Message-ID": "<r@example.com>",
            "In-Reply-To": received.headers.get("message-id"),
        }
        lines = [f"{name}: {value}" for name, value in {**head, **headers}.items() if value]
        await received.reply(message("me@example.com", received["from"], "\r\n".join([*lines, "", "answer"])))
