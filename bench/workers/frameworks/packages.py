"""FastAPI, and what people import beside it: some 1,500 modules."""

import asgi
from fastapi import FastAPI
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from pydantic import BaseModel

CLIENTS = (ChatOpenAI, AsyncOpenAI)
app = FastAPI()


class Said(BaseModel):
    text: str


@app.get("/")
async def root() -> Said:
    return Said(text="Hello from Python!")


Default = asgi.entrypoint(app)
