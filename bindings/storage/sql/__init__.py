"""SQL that a worker writes: what it may do, how large it may be, what is said of its failures."""
