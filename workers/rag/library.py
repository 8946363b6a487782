"""The documents: their files in R2, their text in D1 in pieces, and the pieces' meanings in Vectorize."""

import re
from hashlib import sha256

PIECE_CHARS = 700  # of a piece; a small embedding model reads some 200 words
BATCH = 50  # pieces embedded at a time
TEXT = (".md", ".txt", ".text", ".markdown")
SCHEMA = """
CREATE TABLE IF NOT EXISTS pieces (id TEXT PRIMARY KEY, document TEXT, number INTEGER, text TEXT)
CREATE INDEX IF NOT EXISTS pieces_of ON pieces (document, number)
"""


class Library:
    def __init__(self, env):
        self.env = env

    async def documents(self):
        """``[{"name", "size", "pieces"}]``, by name."""
        await self.env.DB.exec(SCHEMA)
        counts = await self.env.DB.prepare("SELECT document, count(*) AS pieces FROM pieces GROUP BY document").all()
        pieces = {row.document: row.pieces for row in counts.results}
        files = (await self.env.FILES.list()).objects
        return [{"name": file.key, "size": file.size, "pieces": pieces.get(file.key, 0)} for file in files]

    async def add(self, name, file):
        """Index a document in place of what was indexed of that name. How many pieces. Raises ValueError."""
        pieces = split(await self.text_of(name, file))
        if not pieces:
            raise ValueError("There is no text in it.")
        await self.forget(name)
        for start in range(0, len(pieces), BATCH):
            await self.index(name, start, pieces[start : start + BATCH])
        return len(pieces)

    async def text_of(self, name, file):
        if name.lower().endswith(TEXT):
            return await file.text()
        converted = await self.env.AI.toMarkdown({"name": name, "blob": await file.blob()})
        if converted["format"] == "error":
            raise ValueError(converted["error"])
        return converted["data"]

    async def index(self, name, start, pieces):
        vectors = (await self.env.AI.run(self.env.EMBEDDING_MODEL, {"text": pieces}))["data"]
        ids = [f"{sha256(name.encode()).hexdigest()[:32]}-{number}" for number in range(start, start + len(pieces))]
        insert = self.env.DB.prepare("INSERT INTO pieces (id, document, number, text) VALUES (?, ?, ?, ?)")
        await self.env.DB.batch(
            [insert.bind(id, name, start + at, text) for at, (id, text) in enumerate(zip(ids, pieces, strict=True))]
        )
        await self.env.INDEX.upsert(
            [
                {"id": id, "values": vector, "metadata": {"document": name[:60]}}
                for id, vector in zip(ids, vectors, strict=True)
            ]
        )

    async def search(self, question, count):
        """The pieces that are nearest to the question: ``[{"document", "number", "text", "score"}]``, best first."""
        await self.env.DB.exec(SCHEMA)
        [vector] = (await self.env.AI.run(self.env.EMBEDDING_MODEL, {"text": [question]}))["data"]
        matches = (await self.env.INDEX.query(vector, topK=count)).matches
        select = self.env.DB.prepare("SELECT document, number, text FROM pieces WHERE id = ?")
        found = await self.env.DB.batch([select.bind(match.id) for match in matches]) if matches else []
        return [
            {**row, "score": round(match.score, 3)}
            for match, answer in zip(matches, found, strict=True)
            for row in answer.results
        ]

    async def remove(self, name):
        await self.forget(name)
        await self.env.FILES.delete(name)

    async def forget(self, name):
        """What is indexed of a document."""
        await self.env.DB.exec(SCHEMA)
        rows = await self.env.DB.prepare("DELETE FROM pieces WHERE document = ? RETURNING id").bind(name).all()
        ids = [row.id for row in rows.results]
        for start in range(0, len(ids), 1000):
            await self.env.INDEX.deleteByIds(ids[start : start + 1000])


def split(text):
    """Pieces of whole paragraphs, and of whole sentences where a paragraph is too long."""
    pieces, current = [], ""
    for part in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?])\s+", part.strip()) if len(part) > PIECE_CHARS else [part.strip()]:
            if current and len(current) + len(sentence) > PIECE_CHARS:
                pieces.append(current)
                current = ""
            current = f"{current}\n{sentence}".strip()[: 4 * PIECE_CHARS]
    return [*pieces, current] if current else pieces
