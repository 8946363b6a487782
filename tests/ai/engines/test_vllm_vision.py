"""A chat with a picture, on the real vLLM: the model is a random one, so what counts is that it has seen it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import aiohttp
import pytest

pytest.importorskip("vllm")

from serving import serving, write
from vision_model import IMAGE_TOKENS, tiny_idefics

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(400)]
WITHIN = aiohttp.ClientTimeout(total=380)
WORKER = """
from workers import Response

async def fetch(request, env, ctx):
    asked = await request.json()
    return Response.json(await env.AI.run("own/eye", {**asked, "max_tokens": 12, "temperature": 0}))
"""


def picture(colour: str) -> str:
    from PIL import Image

    Image.new("RGB", (48, 32), colour).save(file := io.BytesIO(), "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def asked(*pictures: str) -> dict[str, object]:
    parts = [{"type": "image_url", "image_url": {"url": picture(each)}} for each in pictures]
    return {"messages": [{"role": "user", "content": [*parts, {"type": "text", "text": "What is it?"}]}]}


async def test_a_chat_with_a_picture(tmp_path: Path) -> None:
    model = tiny_idefics(tmp_path / "eye")
    rows = f'"own/eye": {{engine: vllm, vision: true, vllm: {{model: {model}, dtype: float32, max_model_len: 1024}}}}\n'
    write(tmp_path, WORKER, '[ai]\nbinding = "AI"\n', {"models.yaml": rows})
    async with serving(tmp_path) as pilot:
        answers = {}
        for name, fields in {
            "none": asked(), "red": asked("red"), "blue": asked("blue"), "red again": asked("red"),
            "both": asked("red", "blue"),
        }.items():  # fmt: skip
            status, text = await pilot.ask(method="POST", data=json.dumps(fields), timeout=WITHIN)
            assert status == 200, (name, text, pilot.log())
            answers[name] = json.loads(text)
        said = {name: answer["response"] for name, answer in answers.items()}
        assert said["red"] == said["red again"]
        assert len({said["none"], said["red"], said["blue"]}) == 3, said
        read = {name: answer["usage"]["prompt_tokens"] for name, answer in answers.items()}
        one = read["red"] - read["none"]
        assert one >= IMAGE_TOKENS
        assert read["both"] - read["none"] == 2 * one
