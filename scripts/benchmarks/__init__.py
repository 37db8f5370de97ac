"""Benchmarks: each module has `run()`, which returns a list of rows."""
