"""The drawing page in Chromium. `page` drives it, `drawings` has digits to draw on it."""
