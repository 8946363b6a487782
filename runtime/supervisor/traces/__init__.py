"""What became of requests and events, for whoever reads that."""
