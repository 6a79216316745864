"""What `eval.bench` measures."""
