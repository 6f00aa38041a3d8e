"""What `benchmarks.service` and `benchmarks.overload` share: servers, requests, load.

Who is compared and how each is asked stands here once, so that both measure the same thing.
"""
