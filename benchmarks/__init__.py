"""What Amana costs, always beside the same work done by hand: `make bench` writes RESULTS.md."""
