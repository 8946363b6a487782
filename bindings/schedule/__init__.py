"""When something is due, as a cron expression says it."""
