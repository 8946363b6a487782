"""``env.AI`` in a front that is not the first: the model is asked there for room, and its tokens come straight here."""
