"""Processes of ours that read what strangers have sent: no user code, little memory, little time."""
