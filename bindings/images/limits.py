"""How much an image may be. https://developers.cloudflare.com/images/get-started/limits/"""

from __future__ import annotations

MAX_INPUT_BYTES = 100_000_000
MAX_OUTPUT_BYTES = 256 * 1024 * 1024  # of one result; ours
MAX_AREA = 100_000_000  # pixels
MAX_ANIMATION_AREA = 50_000_000  # of all frames together
MAX_SIDE = 12_000  # pixels
MAX_IMAGES = 32  # that one output is made of; ours
MAX_PLAN_BYTES = 64 * 1024  # as JSON; ours
MEMORY_BYTES = 1536 * 1024 * 1024  # of address space of the process, the library's own included
CPU_S = 30
WALL_S = 60
