"""``from workers import asgi``: the module ``asgi``."""

import sys

import asgi  # type: ignore[import-not-found,unused-ignore]

sys.modules[__name__] = asgi
