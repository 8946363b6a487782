"""An API with keys: three requests a minute for each, and what is used is written down."""

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        key = request.headers.get("x-api-key")
        if not key:
            return Response.json({"error": "x-api-key is missing"}, status=401)
        outcome = await self.env.LIMITER.limit({"key": key})
        self.env.USAGE.writeDataPoint({"indexes": [key], "blobs": [request.method], "doubles": [1]})
        if not outcome.success:
            return Response.json({"error": "slow down"}, status=429, headers={"retry-after": "60"})
        return Response.json({"key": key, "country": request.cf.country})
