"""``pilot init``: a worker of one's own, from a template."""
