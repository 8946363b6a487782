"""Calls between workers, as the supervisor carries them. Where to begin: ``calls``."""
