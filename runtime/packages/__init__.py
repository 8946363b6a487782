"""What a worker depends on: named beside it, pinned, and installed once for whoever has the same pins.

Reading order: ``declared`` (who names what, where) → ``pins`` (one version each, by uv) → ``cache`` (a folder per set
of pins, in the user's cache) → ``sets`` (how such a folder is made, here and on a host).
"""
