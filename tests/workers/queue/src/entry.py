"""Orders are taken at once and dealt with in batches; one that fails twice is dead."""

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.method == "POST":
            orders = await request.json()
            await self.env.ORDERS.sendBatch([{"body": order} for order in orders])
            return Response.json({"queued": len(orders)}, status=202)
        keys = (await self.env.DONE.list())["keys"]
        return Response.json({key.name: await self.env.DONE.get(key.name) for key in keys})

    async def queue(self, batch, env, ctx):
        for message in batch.messages:
            order = message.body
            if batch.queue == "dead-orders":
                await self.env.DONE.put(order["id"], "dead")
            elif order["amount"] < 0:
                message.retry()
                continue
            else:
                await self.env.DONE.put(order["id"], f"{order['amount'] * 2} after {message.attempts}")
            message.ack()
