"""Whatever reads bytes of strangers, given bytes that a fuzzer makes up: `python -m tests.fuzz`.

`targets` says what is tried and what must hold, `corpus` keeps the interesting cases, and
`test_corpus` gives each of those to its target without the fuzzer.
"""
