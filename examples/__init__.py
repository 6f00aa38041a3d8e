"""Small programs that show the network at work, each runnable by `python -m examples.<name>`.

Beside them lie the digits that the README sends to the service.
"""
