"""Measures Relata on a workload of 340,000 relationships; `docs/benchmarks.md` explains it.

Servers listen on `HOST`, and nothing here calls another.
"""

HOST = "127.0.0.1"
