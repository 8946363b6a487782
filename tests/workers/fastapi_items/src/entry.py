"""FastAPI with D1: models that are checked, a dependency, a template, a background task, an upload."""

from contextlib import asynccontextmanager

import asgi
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import HTMLResponse, StreamingResponse
from jinja2 import Template
from pydantic import BaseModel, Field

from workers import WorkerEntrypoint

PAGE = Template("<ul>{% for item in items %}<li>{{ item.name }}: {{ item.price }}</li>{% endfor %}</ul>")
started = []


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)


@asynccontextmanager
async def lifespan(app):
    started.append(1)
    yield {"greeting": "hello"}


app = FastAPI(lifespan=lifespan)


async def database(request: Request):
    db = request.scope["env"].DB
    await db.prepare("CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, name TEXT, price REAL)").run()
    return db


@app.post("/items", status_code=201)
async def create(item: Item, tasks: BackgroundTasks, request: Request, db=Depends(database)):
    row = (
        await db.prepare("INSERT INTO items (name, price) VALUES (?, ?) RETURNING *")
        .bind(item.name, item.price)
        .first()
    )
    tasks.add_task(request.scope["env"].LOG.put, f"item-{row.id}", item.name)
    return row


@app.get("/items/{id}")
async def read(id: int, db=Depends(database)):
    row = await db.prepare("SELECT * FROM items WHERE id = ?").bind(id).first()
    if row is None:
        raise HTTPException(404, "No such item")
    return Item(**row.to_py())


@app.get("/page", response_class=HTMLResponse)
async def page(db=Depends(database)):
    return PAGE.render(items=(await db.prepare("SELECT * FROM items ORDER BY id").all()).results)


@app.get("/log/{id}")
async def log(id: int, env=asgi.env):
    return {"log": await env.LOG.get(f"item-{id}")}


@app.get("/started")
def how_often(request: Request):
    return {"started": len(started), "greeting": request.state.greeting}


@app.get("/stream")
async def stream():
    async def lines():
        for number in range(3):
            yield f"line {number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


@app.post("/upload")
async def upload(file: UploadFile):
    size = 0
    while chunk := await file.read(65536):
        size += len(chunk)
    return {"name": file.filename, "size": size}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request.js_object, self.env)
