"""What products keep on disk with: a folder per resource, opened once; files for what is too large for a row."""
