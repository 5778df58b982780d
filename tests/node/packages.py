"""The packages that tests run in Node, where `scripts/node-packages` has installed them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / ".venv" / "node"


def node() -> str:
    """The Node to run; skips the test, saying so, where it or its packages are missing."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("there is no Node here")
    if not (FOLDER / "installed.json").exists():
        pytest.skip("the packages for Node are not installed; run scripts/node-packages")
    return found
