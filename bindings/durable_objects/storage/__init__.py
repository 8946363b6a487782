"""An object's own SQLite file, as its class sees it. Runs in the process that has the objects."""
