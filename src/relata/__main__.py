"""`python -m relata` is the command `relata`."""

from __future__ import annotations

from relata.cli import app

if __name__ == "__main__":
    app(prog_name="relata")
