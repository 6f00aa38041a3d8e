"""What `benchmarks.service` and `benchmarks.overload` share: servers, requests, load."""
