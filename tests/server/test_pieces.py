"""Long answers are sent in pieces, say what short ones say, and let others have their turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.types import Message

from relata.authorizer import Relata
from relata.engine import ExpandNode
from relata.requests import Limits
from relata.server import Settings, create_app
from relata.server.pieces import respond, write_list, write_lists, write_object
from relata.server.routes.lookups import (
    ExpandAnswer,
    ResourcesAnswer,
    SubjectsAnswer,
    TreeNode,
)
from relata.server.routes.relationships import ReadAnswer
from tests.server.live import serving

MANY = 3_000
SCHEMA = """
caveat weekend(day int) { day > 5 }
definition user {}
definition group {
	relation member: user | user with weekend
}
definition document {
	relation parent: document
	relation viewer: user | user with weekend | user:* | group#member
	relation banned: user
	permission view = (viewer + parent->view) - banned
}
"""
FEW = (
    "document:deep#parent@document:deep",
    "document:deep#parent@document:large",
    "document:deep#viewer@group:g#member",
    "document:deep#banned@user:bob",
    "document:large#viewer@user:*",
    "document:large#banned@user:bob",
)

texts = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def relata() -> Iterator[Relata]:
    """Documents that one user may view, and a document that many may, some at weekends."""
    with Relata.open("sqlite://", schema=SCHEMA, limits=Limits(updates=4 * MANY)) as relata:
        many = [
            text
            for number in range(MANY)
            for text in (
                f"document:{number}/{'x' * 30}#viewer@user:anne",
                f"document:large#viewer@user:a-person-{number}{'[weekend]' * (number % 5 == 0)}",
                f"document:large#banned@user:banned{number}",
            )
        ]
        relata.write([*FEW, *many])
        yield relata


@pytest.fixture(scope="module")
def client(relata: Relata) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {relata.keys.create('all', ['admin'])[1]}"}
    with (
        serving(create_app(relata, None, Settings())) as address,
        httpx.Client(base_url=address, headers=headers, timeout=60) as client,
    ):
        yield client


def text_of(answer: httpx.Response) -> str:
    """The text of an answer that must have come in pieces."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["transfer-encoding"] == "chunked"
    return answer.text


def test_long_lists_of_resources(client: httpx.Client, relata: Relata) -> None:
    question = {"resource_type": "document", "permission": "view", "subject": "user:anne"}
    answer = client.post("/lookup/resources", json={**question, "limit": 10_000})
    found = ResourcesAnswer.model_validate_json(text_of(answer))
    expected = relata.lookup_resources("document", "view", "user:anne")
    assert tuple(found.resource_ids) == expected.resource_ids
    assert len(found.resource_ids) == MANY + 2
    assert (found.looked_up_at, found.cursor) == (expected.looked_up_at, None)


def test_long_lists_of_subjects(client: httpx.Client, relata: Relata) -> None:
    """What is conditional and what is excluded as well."""
    question = {"resource": "document:large", "permission": "viewer", "subject_type": "user"}
    answer = client.post("/lookup/subjects", json={**question, "limit": 10_000})
    found = SubjectsAnswer.model_validate_json(text_of(answer))
    expected = relata.lookup_subjects("document:large", "viewer", "user")
    assert tuple(found.subject_ids) == expected.subject_ids
    assert found.conditional == {key: list(it) for key, it in expected.conditional.items()}
    assert found.wildcard is True
    answer = client.post(
        "/lookup/subjects", json={**question, "permission": "view", "limit": 10_000}
    )
    found = SubjectsAnswer.model_validate_json(text_of(answer))
    assert len(found.excluded_ids) == MANY + 1
    assert found.wildcard_missing_context is None


def test_long_lists_of_relationships(client: httpx.Client, relata: Relata) -> None:
    answer = client.get("/relationships", params={"limit": 10_000})
    found = ReadAnswer.model_validate_json(text_of(answer))
    expected = relata.read(limit=10_000)
    assert found.relationships == [str(it) for it in expected.relationships]
    assert len(found.relationships) == 3 * MANY + len(FEW)
    assert (found.read_at, found.cursor) == (expected.read_at, expected.cursor)


def test_long_trees(client: httpx.Client, relata: Relata) -> None:
    answer = client.post("/expand", json={"resource": "document:deep", "permission": "view"})
    found = ExpandAnswer.model_validate_json(text_of(answer))
    assert found.tree == node_of(relata.expand("document:deep", "view").tree)
    assert answer.text.count('"cycle":true') == 1


def node_of(node: ExpandNode) -> TreeNode:
    return TreeNode(
        resource=node.resource,
        name=node.name,
        expression=node.expression,
        operation=node.operation,
        subjects=[str(subject) for subject in node.subjects],
        conditional={str(subject): list(names) for subject, names in node.conditional.items()},
        missing_context=list(node.missing_context),
        children=[node_of(child) for child in node.children],
        cycle=node.cycle,
    )


def test_a_page_is_as_long_as_was_asked_for(client: httpx.Client) -> None:
    """And its cursor goes on; what is short is sent whole."""
    question = {"resource_type": "document", "permission": "view", "subject": "user:anne"}
    seen: list[str] = []
    cursor, limits = None, iter([10, 2_000, 10_000])
    while cursor is not None or not seen:
        asked = {**question, "limit": next(limits), "cursor": cursor}
        answer = client.post("/lookup/resources", json=asked)
        assert ("content-length" in answer.headers) == (not seen)
        page = ResourcesAnswer.model_validate_json(answer.text)
        seen, cursor = [*seen, *page.resource_ids], page.cursor
    assert len(seen) == len(set(seen)) == MANY + 2


@given(
    st.lists(texts, max_size=500),
    st.dictionaries(texts, st.lists(texts, max_size=3), max_size=300),
    st.none() | texts | st.booleans(),
)
def test_what_is_written_is_read_again(
    items: list[str], lists: dict[str, list[str]], small: object
) -> None:
    parts = write_object(items=write_list(iter(items)), lists=write_lists(lists), small=small)
    text = b"".join(parts).decode()
    assert json.loads(text) == {"items": items, "lists": lists, "small": small}
    assert text == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


def sent(response: Response, turns: list[int]) -> list[Message]:
    """The messages of an answer; `turns` counts how often somebody else had one."""
    messages: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nothing comes")

    async def send(message: Message) -> None:
        turns.append(0)
        messages.append(message)

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            if turns:
                turns[-1] += 1

    async def both() -> None:
        other = asyncio.create_task(others())
        await response({"type": "http"}, receive, send)
        other.cancel()

    asyncio.run(both())
    return messages


def test_everybody_else_has_a_turn_between_two_pieces() -> None:
    """Nothing is written long before it is sent, and no piece is large."""
    asked: list[int] = []
    turns: list[int] = []

    def items() -> Iterator[str]:
        for number in range(20_000):
            asked.append(len(turns))
            yield str(number)

    start, *pieces, end = sent(respond(write_list(items())), turns)
    assert start["status"] == 200
    assert json.loads(b"".join(it["body"] for it in pieces)) == [str(it) for it in range(20_000)]
    assert len(pieces) > 5
    assert end == {"type": "http.response.body", "body": b"", "more_body": False}
    assert max(len(it["body"]) for it in pieces) < 20_000
    assert all(turn > 0 for turn in turns[1:-2])
    assert len(set(asked)) >= len(pieces) - 2, "written as they are sent"


def test_what_fits_one_piece_is_sent_whole() -> None:
    start, whole = sent(respond(write_object(a=write_list([]), b=None)), [])
    assert whole["body"] == b'{"a":[],"b":null}'
    assert (b"content-length", b"17") in start["headers"]
