"""Web APIs that are globals in JavaScript, each imported when a worker first asks for it."""
