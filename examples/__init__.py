"""Example programs; `python -m examples.<name>` runs each of them.

`digit.json` and `digit.png` are the requests that the documentation sends to the service.
"""
