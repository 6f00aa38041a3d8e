"""The trainer's tests: bad input in every form it comes in, and the whole job on tiny data.

Mirrors are real servers on this machine, kills are real signals to a real process.
"""
