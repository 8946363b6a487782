"""The worker's half: ``env.WORKFLOW``, and what ``run(event, step)`` is handed. It runs in the isolate."""
