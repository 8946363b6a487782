"""The client at the other end of a connection: how long it may take, and whether it is still there."""
