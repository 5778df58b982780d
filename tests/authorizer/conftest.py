from collections.abc import Iterator
from pathlib import Path

import pytest

from relata.authorizer import Relata

SCHEMA = """
definition user {
	relation manager: user
	permission boss = manager
}

definition group {
	relation member: user | group#member
}

definition organization {
	relation member: user
	relation chosen_by: user
	permission session = member & chosen_by
}

definition document {
	relation organization: organization
	relation viewer: user | user:* | group#member
	relation banned: user
	permission view = viewer - banned
	permission visible = organization->session
}
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'relata.db'}"


@pytest.fixture
def relata(url: str) -> Iterator[Relata]:
    with Relata.open(url, schema=SCHEMA, follow_seconds=None) as opened:
        yield opened
