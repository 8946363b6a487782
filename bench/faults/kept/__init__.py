"""What workers keep, and whom they talk to: under ``kill -9``, deploys, reloads, and workers that never end."""
