"""One downstream task a file."""
