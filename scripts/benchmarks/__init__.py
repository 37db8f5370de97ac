"""Benchmarks: the module of a suite has `run()`, which returns a list of rows."""
