"""A greeting by FastAPI: as a worker's, and on uvicorn alone."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> dict[str, str]:
    return {"Hello": "from Python!"}
