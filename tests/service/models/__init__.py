"""Loading and hot reload of versions. Small untrained networks are published for it."""
