"""``pilot models``, ``pilot run`` and ``pilot ps``: models at a terminal."""
