"""What the fronts of one machine have between them: see ``runtime.host.fronts``."""
