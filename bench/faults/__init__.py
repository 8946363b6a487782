"""What a host survives, and what is lost by it: faults at random moments, under deploys, secrets, rollbacks, load."""
