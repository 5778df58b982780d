"""The page about tokens names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "tokens.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    """A requirement whose test has been renamed or removed would be held by nothing."""
    defined = {
        (path.name, name)
        for path in HERE.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    missing = []
    named = 0
    for row in PAGE.splitlines():
        file = ""
        for path, name in re.findall(r"`(?:(test_\w+\.py)::)?(test_\w+)`", row):
            file = path or file
            named += 1
            if (file, name) not in defined:
                missing.append(f"{file}::{name}")
    assert missing == []
    assert named > 40
