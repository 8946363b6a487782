"""What ``pilot doctor`` looks at: a file for each kind."""
