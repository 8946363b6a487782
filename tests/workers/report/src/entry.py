"""Each morning what was sold yesterday is added up, kept in R2 and sent by email."""

import datetime
import json

from workers import Response, WorkerEntrypoint, import_from_javascript


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.method == "POST":
            await self.env.DB.exec("CREATE TABLE IF NOT EXISTS sales (amount REAL)")
            amounts = await request.json()
            insert = self.env.DB.prepare("INSERT INTO sales VALUES (?)")
            await self.env.DB.batch([insert.bind(amount) for amount in amounts])
            return Response(None, status=204)
        listed = await self.env.REPORTS.list()
        return Response.json(
            [json.loads(await (await self.env.REPORTS.get(found.key)).text()) for found in listed.objects]
        )

    async def scheduled(self, controller, env, ctx):
        row = await self.env.DB.prepare("SELECT count(*) AS count, coalesce(sum(amount), 0) AS sum FROM sales").first()
        day = datetime.datetime.fromtimestamp(controller.scheduledTime / 1000, datetime.UTC).date().isoformat()
        report = {"cron": controller.cron, "day": day, "count": row["count"], "sum": row["sum"]}
        await self.env.REPORTS.put(f"{day}.json", json.dumps(report))
        await self.env.DB.exec("DELETE FROM sales")
        EmailMessage = import_from_javascript("cloudflare:email").EmailMessage
        text = f"From: shop@example.com\r\nTo: owner@example.com\r\nMessage-ID: <{day}@example.com>\r\n"
        text += f"Subject: {day}\r\n\r\n{row['count']} sales, {row['sum']}\r\n"
        await self.env.MAIL.send(EmailMessage.new("shop@example.com", "owner@example.com", text))
