"""Small programs that show the network at work, each runnable by `python -m examples.<name>`."""
