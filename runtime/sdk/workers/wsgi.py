"""``from workers import wsgi``: the module ``wsgi``."""

import sys

import wsgi  # type: ignore[import-not-found,unused-ignore]

sys.modules[__name__] = wsgi
