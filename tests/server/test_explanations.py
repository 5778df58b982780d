"""The HTTP form of an explanation has the fields and values of the library's."""

from __future__ import annotations

import json

import httpx
import msgspec

from relata import Relata
from relata.engine import ExplainNode
from relata.server.routes.explanations import Explanation, explanation_of
from tests.server.world import CHECK

SCHEMA = """
caveat tuesday(day string) { day == "tuesday" }
definition user {}
definition folder {
	relation parent: folder
	relation viewer: user with tuesday
	relation banned: user
	permission view = viewer + parent->view
	permission read = view & viewer - banned
}
"""


def test_the_form_is_the_tree() -> None:
    """Nested nodes, texts, flags and lists, and no field more or less."""
    with Relata.open("sqlite://", schema=SCHEMA, follow_seconds=None) as relata:
        relata.write(["folder:a#viewer@user:anne[tuesday]", "folder:a#parent@folder:a"])
        node = relata.check("folder:a", "read", "user:anne", explain=True).explanation
    assert node is not None
    assert node.missing_context == ("day",)
    assert json.loads(explanation_of(node).model_dump_json()) == json.loads(
        msgspec.json.encode(node)
    )


def test_the_form_has_the_fields_in_the_order_of_the_tree() -> None:
    assert tuple(Explanation.model_fields) == ExplainNode.__struct_fields__


def test_the_deepest_tree_has_a_form_that_can_be_read_back() -> None:
    """As many levels as an explanation has at most."""
    schema = "definition user {}\ndefinition group {\n relation member: user | group#member\n}\n"
    groups = [f"group:g{n}#member@group:g{n + 1}#member" for n in range(100)]
    with Relata.open("sqlite://", schema=schema, follow_seconds=None) as relata:
        relata.write(groups)
        node = relata.check("group:g0", "member", "user:anne", explain=True).explanation
    assert node is not None
    form = explanation_of(node)
    assert Explanation.model_validate_json(form.model_dump_json()) == form


def test_a_check_explains_itself_where_it_is_asked_to(
    admin: httpx.Client, authorizer: Relata
) -> None:
    """The same answer with one field more; for a denied check too."""
    for subject in ("user:anne", "user:bob"):
        question = {**CHECK, "subject": subject}
        plain = admin.post("/check", json=question).json()
        told = admin.post("/check", json={**question, "explain": True}).json()
        asked = (CHECK["resource"], CHECK["permission"], subject)
        node = authorizer.check(*asked, explain=True).explanation
        assert told.pop("explanation") == json.loads(msgspec.json.encode(node))
        assert told == plain == admin.post("/check", json={**question, "explain": False}).json()
        assert "explanation" not in plain
