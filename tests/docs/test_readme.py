"""What the README says its code answers is what it answers."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
ANSWER = re.compile(r"^(\s*)(\S.*?)\s+# (.+)$", re.MULTILINE)


def test_the_library_answers_as_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"said": []}
    for block in BLOCKS:
        asserted = ANSWER.sub(r"\1said.append((\2, \3))", block)
        exec(compile(asserted, str(README), "exec"), names)
    said = names["said"]
    assert isinstance(said, list)
    assert len(said) == 6
    for found, promised in said:
        assert found == promised
    engine = names["engine"]
    engine.dispose()  # type: ignore[attr-defined]  # what the README made, as it would be closed
