"""Notes are kept in D1 and found by meaning with Vectorize; the answer quotes them."""

from urllib.parse import urlparse

from js import Object
from pyodide.ffi import to_js

from workers import Response, WorkerEntrypoint

EMBEDDINGS = "@cf/baai/bge-base-en-v1.5"
MODEL = "@cf/meta/llama-3.1-8b-instruct"


def js(value):
    return to_js(value, dict_converter=Object.fromEntries)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlparse(request.url).path
        if path == "/notes" and request.method == "POST":
            return await self.add(await request.json())
        if path == "/ask":
            return await self.ask(await request.json())
        return Response("Not found", status=404)

    async def vector(self, text):
        answer = await self.env.AI.run(EMBEDDINGS, js({"text": [text]}))
        return answer.data[0]

    async def add(self, note):
        await self.env.DB.prepare("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)").run()
        row = await self.env.DB.prepare("INSERT INTO notes (text) VALUES (?) RETURNING *").bind(note["text"]).first()
        values = await self.vector(note["text"])
        await self.env.VECTORS.upsert(js([{"id": str(row.id), "values": values}]))
        return Response.json({"id": row.id}, status=201)

    async def ask(self, question):
        found = await self.env.VECTORS.query(await self.vector(question["text"]), js({"topK": 1}))
        notes = []
        for match in found.matches:
            row = await self.env.DB.prepare("SELECT text FROM notes WHERE id = ?").bind(int(match.id)).first()
            notes.append(row["text"])
        messages = [
            {"role": "system", "content": "Context:\n" + "\n".join(f"- {note}" for note in notes)},
            {"role": "user", "content": question["text"]},
        ]
        answer = await self.env.AI.run(MODEL, js({"messages": messages}))
        return Response.json({"answer": answer.response, "sources": notes})
