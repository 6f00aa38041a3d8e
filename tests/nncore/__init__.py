"""What the network and its repository promise."""
