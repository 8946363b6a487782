"""Where things are: below the state, and below the server's root."""

from __future__ import annotations

FOLDER = "d1"  # of the state
TRANSFERS = "/client/v4/d1/transfers/"  # the files of imports and exports
