"""What was loaded, and what has survived a long garbage collection, is not looked at again."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, sys
from relata.server.pauses import without_long_pauses

with without_long_pauses():
    loaded = [[] for _ in range(200_000)]
assert gc.isenabled()
assert gc.get_freeze_count() > 200_000, gc.get_freeze_count()
assert sys.getswitchinterval() < 0.001

grown = [[] for _ in range(1_000_000)]
assert gc.get_freeze_count() > 1_000_000, gc.get_freeze_count()
"""


def test_a_process_makes_no_long_collections_after_it_has_loaded() -> None:
    """The lists that came later are put away by the collections that found them."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
