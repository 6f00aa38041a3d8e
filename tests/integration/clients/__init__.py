"""Other servers' real clients against the running service, or the one at SERVICE_URL.

All protocols must give one answer to one image, whoever asks.
"""
