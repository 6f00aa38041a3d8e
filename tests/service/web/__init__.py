"""The drawing page over HTTP. `tests/integration/browser` runs its scripts in Chromium."""
