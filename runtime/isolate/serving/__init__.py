"""What an isolate does with what the supervisor calls it for: requests, events, and all they are made of."""
