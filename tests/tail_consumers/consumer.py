import json

from workers import Response, WorkerEntrypoint

seen, batches = [], []


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if "/batches" in request.url:
            return Response.json(batches)
        return Response.json(seen)

    async def tail(self, events, env, ctx):
        print("told", len(events))
        assert env.NAME == "logs"
        batches.append(len(events))
        for item in events:
            assert item.scriptName == item["scriptName"]
            assert json.loads(json.dumps(item)) == item.to_py()
            assert isinstance(item.eventTimestamp, int)
            if item.event and "request" in item.event:
                assert item.event.request.url.startswith("http")
        seen.extend(events.to_py())
        if any("/break" in str(item) for item in events):
            raise RuntimeError("told not to")
