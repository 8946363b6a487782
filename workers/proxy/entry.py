"""Asks TARGET for the same path and streams its answer back as it arrives.

The target is the operator's choice, never the visitor's: a proxy to any address a visitor names would
open this machine's own network to them.
"""

from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint, fetch

# What belongs to one connection, or describes an encoding that fetch() has already undone.
NOT_PASSED_ON = {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        asked = urlsplit(request.url)
        target = self.env.TARGET.rstrip("/") + asked.path + (f"?{asked.query}" if asked.query else "")
        upstream = await fetch(target)
        headers = [pair for pair in upstream.headers.items() if pair[0].lower() not in NOT_PASSED_ON]
        return Response(upstream.body, status=upstream.status, headers=headers)
