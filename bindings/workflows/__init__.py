"""Workflows: code of a worker that goes on where it was, whatever ends its process. See ``engine``."""
