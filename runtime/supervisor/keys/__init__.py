"""What a person at the terminal presses while ``pilot dev`` runs."""
