"""FastAPI as a worker: notes in D1, and what a model makes of them, as it comes. Its own documentation is at /docs.

``POST /notes`` with ``{"text": ...}`` keeps one; ``GET /notes`` lists them; ``GET /summary`` streams.
"""

import asgi
from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from workers import WorkerEntrypoint


class Note(BaseModel):
    text: str = Field(min_length=1, max_length=10_000)


app = FastAPI(title="Notes")


async def database(request: Request):
    db = request.scope["env"].DB
    await db.exec("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    return db


async def kept(db=Depends(database)):
    return (await db.prepare("SELECT id, text FROM notes ORDER BY id").all()).results


@app.post("/notes", status_code=201)
async def add(note: Note, db=Depends(database)):
    return await db.prepare("INSERT INTO notes (text) VALUES (?) RETURNING id, text").bind(note.text).first()


@app.get("/notes")
async def notes(kept=Depends(kept)):
    return kept


@app.get("/summary")
async def summary(request: Request, kept=Depends(kept)):
    env = request.scope["env"]
    prompt = "Sum up these notes:\n" + "\n".join(note["text"] for note in kept)
    stream = await env.AI.run(env.MODEL, {"prompt": prompt, "stream": True})
    return StreamingResponse(stream, media_type="text/event-stream")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request.js_object, self.env)
