"""How a body's JSON is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relata.server import Settings
from relata.server.limits import MAX_DEPTH, read_json
from relata.server.problems import Refusal

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
)


@given(values, st.booleans())
def test_json_is_read_as_it_was_written(value: object, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    assert read_json(text.encode()) == value


@given(st.integers(MAX_DEPTH - 2, MAX_DEPTH + 2), st.text('[]{}\\"a'))
def test_nesting_counts_brackets_but_not_those_in_strings(depth: int, text: str) -> None:
    body = ("[" * depth + json.dumps(text) + "]" * depth).encode()
    if depth <= MAX_DEPTH:
        read_json(body)
    else:
        with pytest.raises(Refusal, match="nested deeper"):
            read_json(body)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Nothing but a Refusal comes out of a bad body."""
    try:
        value = read_json(body)
    except Refusal:
        return
    assert json.loads(body) == value


@pytest.mark.parametrize("end", [b"", b"\\", b'"'])
def test_a_string_without_an_end_costs_no_more_than_any_other(end: bytes) -> None:
    """At the largest body. Were each of its quotes tried anew, this would not come to an end."""
    start = b"[" * (MAX_DEPTH + 1) + b'"'
    size = Settings().max_body_bytes - len(start) - len(end)
    body = start + b'\\"' * (size // 2) + end
    with pytest.raises(Refusal, match="nested deeper"):
        read_json(body)
    with pytest.raises(Refusal, match="the JSON is malformed"):
        read_json(b"[]" * MAX_DEPTH + body[MAX_DEPTH + 1 :])


@pytest.mark.parametrize("text", ['"\\ud83d\\ude00"', '"\\\\ud800"', '["\\ud83d\\ude00", "x"]'])
def test_whole_surrogate_pairs_are_characters(text: str) -> None:
    assert read_json(text.encode()) == json.loads(text)
