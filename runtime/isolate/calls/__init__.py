"""Calls between workers, in a worker's process: what is sent, what is held, what is called."""
