"""A digest by email, made by a model: a cron trigger puts a message for each reader into a queue, its consumer begins a
workflow for each, and that asks the model and sends the mail.

``POST /notes`` keeps a note; ``GET /notes`` lists them; ``GET /digests/ID`` says how one fares.
"""

from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint, WorkflowEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlsplit(request.url).path
        if path == "/notes" and request.method == "POST":
            await self.env.NOTES.put(f"note:{await count(self.env):06}", await request.text())
            return Response("kept\n", status=201)
        if path == "/notes":
            return Response.json(await notes(self.env))
        if path.startswith("/digests/"):
            instance = await self.env.DIGESTS.get(path.removeprefix("/digests/"))
            return Response.json(dict(await instance.status()))
        return Response("POST a note to /notes; pilot cron run sends the digest\n")

    async def scheduled(self, controller):
        day = controller.scheduledTime // 86_400_000
        await self.env.READERS.sendBatch([{"body": {"to": one, "day": day}} for one in self.env.SUBSCRIBERS])

    async def queue(self, batch):
        for message in batch.messages:
            await self.begin(f"{message.body.day}-{message.body.to.partition('@')[0]}", message.body)

    async def begin(self, id, reader):
        """A message may come twice: the second time there is an instance of that name."""
        try:
            await self.env.DIGESTS.create(id=id, params=reader)
        except Exception as error:
            if "already_exists" not in str(error):
                raise


class Digest(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("gather")
        async def gather():
            return await notes(self.env)

        @step.do("summarize", config={"retries": {"limit": 3, "delay": "5 seconds"}, "timeout": "5 minutes"})
        async def summarize(gather):
            prompt = "Sum these notes up in two sentences:\n\n" + "\n".join(gather)
            answer = await self.env.AI.run(self.env.MODEL, {"prompt": prompt, "max_tokens": 200})
            return answer["response"]

        @step.do("send")
        async def send(summarize):
            sent = await self.env.MAIL.send(
                {"from": self.env.SENDER, "to": event.payload["to"], "subject": "Your digest", "text": summarize}
            )
            return sent.messageId

        return await send()


async def notes(env):
    keys = (await env.NOTES.list(prefix="note:"))["keys"]
    return [await env.NOTES.get(key.name) for key in keys]


async def count(env):
    return len((await env.NOTES.list(prefix="note:"))["keys"])
