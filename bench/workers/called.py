"""The other worker of ``calls.py``."""

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("x" * 100)

    async def add(self, a, b):
        return a + b
