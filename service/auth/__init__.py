"""Who may call the service, and how often: API keys, rate limit, cross-origin requests.

All of it is off by default. The checks read a request's head only, never its body.
"""
