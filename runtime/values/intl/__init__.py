"""JavaScript's ``Intl``, of en-US alone: whatever else is asked for is refused by its name."""
