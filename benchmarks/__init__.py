"""Runnable benchmarks, and the counters that tests share with them."""
