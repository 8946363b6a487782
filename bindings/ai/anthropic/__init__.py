"""Anthropic's Messages API: its requests as chats, answers and streams in its form, its refusals."""
