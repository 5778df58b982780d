"""The benchmark of marking gets to its end, and what it measures is right."""

from __future__ import annotations

import pytest

from benchmarks import staying_true


def test_every_write_marks_what_is_due(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With twenty users, who have two hundred tokens."""
    monkeypatch.setattr(staying_true, "USERS", 20)
    staying_true.main()
    head, memory, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith("200 live tokens")
    assert memory.endswith("bytes a token in memory")
    assert len(lines) == len(staying_true.REMOVED)
    for line in lines:
        assert ", 0 wrongly or not, " in line
        assert " 0 marked" not in line
