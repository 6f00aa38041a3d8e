"""What the benchmarks of the service share: servers, requests, load generators.

Which servers are compared, and how each is asked, is defined here once.
"""
