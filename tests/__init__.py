"""The tests: one folder for each package, mirroring its modules."""
