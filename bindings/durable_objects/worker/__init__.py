"""What runs in a worker's processes: ``env.NAME``, and the objects themselves."""
