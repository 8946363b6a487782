"""Isolates as forks of a warm process."""
