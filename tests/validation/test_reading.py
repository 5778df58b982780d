"""The form of scenario files: what is read of them, and what is wrong with them, where."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from relata.engine import Permissionship
from relata.errors import InvalidArgumentError
from relata.relationships import parse_subject
from relata.validation import Marked, ScenarioError, parse_scenario, read_scenario, reader
from relata.validation.model import Text
from tests.validation.texts import faults_of, scenario_text

EXAMPLES = int(os.environ.get("RELATA_EXAMPLES", "200"))

USER = "definition user {}"


def test_everything_in_a_file_is_read() -> None:
    scenario = parse_scenario(
        scenario_text(
            "assertions:\n"
            "  assertTrue:\n"
            "    - document:readme#view@user:anne\n"
            '    - \'document:readme#view@user:tim with {"day": "monday"}\'\n'
            "  assertFalse: []\n"
            "  assertCaveated:\n"
            "    - document:readme#view@user:tim#...\n"
            "validation:\n"
            "  document:public#view:\n"
            '    - "[user:*[...] - {user:bob, group:g#member[...]}] is <document:public#viewer>'
            '/<document:public#owner>"\n'
        )
    )
    assert [str(given.relationship) for given in scenario.relationships][2:4] == [
        "document:readme#viewer@user:tim[on_day]",
        "document:public#viewer@user:*",
    ]
    assert [
        (item.group, item.expected, str(item.question), item.context)
        for item in scenario.assertions
    ] == [
        ("assertTrue", Permissionship.ALLOWED, "document:readme#view@user:anne", {}),
        ("assertTrue", Permissionship.ALLOWED, "document:readme#view@user:tim", {"day": "monday"}),
        ("assertCaveated", Permissionship.CONDITIONAL, "document:readme#view@user:tim", {}),
    ]
    [expected] = scenario.expected
    [subject] = expected.subjects
    assert (str(expected.resource), expected.name) == ("document:public", "view")
    assert subject.who == Marked(parse_subject("user:*"), conditional=True)
    assert subject.excluded == {
        Marked(parse_subject("user:bob")),
        Marked(parse_subject("group:g#member"), conditional=True),
    }
    assert subject.through == {"document:public#viewer", "document:public#owner"}


def test_what_is_null_or_left_out_is_nothing() -> None:
    bare = parse_scenario(f"schema: {USER}")
    nulls = "relationships:\nassertions: null\nvalidation: {}\n"
    empty = parse_scenario(f"---\nschema: {USER}\n{nulls}")
    for scenario in (bare, empty):
        assert (scenario.relationships, scenario.assertions, scenario.expected) == ((), (), ())
    assert parse_scenario(f"schema: {USER}\nassertions:\n  assertTrue:\n").assertions == ()


STYLES = [
    "relationships: |\n  aaa:a#bbb@ccc:c\n\n  // aaa:b#bbb@ccc:c\n",
    "relationships: aaa:a#bbb@ccc:c",
    "relationships: 'aaa:a#bbb@ccc:c'",
    "relationships: !!str &name >-\n\n   aaa:a#bbb@ccc:c // why\n   aaa:b#bbb@ccc:c\n",
    'relationships: "aaa:a#bbb@ccc:c\\n\\taaa:b#bbb@ccc:c"',
    'relationships: "// \\u263a\\naab\\x3a1#bbb@ccc:c aaa:a#bbb@ccc:c"',
    "relationships: |2-\n   aaa:a#bbb@ccc:c aaa:b#bbb@ccc:c // aaa:c#bbb@ccc:c\n",
]


@pytest.mark.parametrize("style", STYLES)
def test_a_relationship_is_found_where_it_stands_however_it_is_written(style: str) -> None:
    text = f"schema: {USER}\n{style}"
    found = parse_scenario(text).relationships
    assert found
    for relationship in found:
        written = str(relationship.relationship)
        assert text[relationship.at :].startswith((written, written.replace(":", "\\x3a", 1)))


def test_a_comment_ends_with_its_line_of_the_file_also_in_folded_text() -> None:
    text = f"schema: {USER}\nrelationships: >-\n  aaa:a#bbb@ccc:c // one\n  aaa:b#bbb@ccc:c\n"
    assert len(parse_scenario(text).relationships) == 2


def test_blanks_in_brackets_and_slashes_in_ids_are_the_relationship_s() -> None:
    stored = 'aaa:a//b#bbb@ccc:c[on_day:{"days": ["a ] b", "\\" ["], "n": [1, 2]}]'
    text = f"schema: {USER}\nrelationships: |\n  {stored} // one\n  {stored.replace('//b', '')}"
    first, second = (given.relationship for given in parse_scenario(text).relationships)
    assert first.resource.id == "a//b"
    assert first.caveat is not None
    assert first.caveat.values == {"days": ["a ] b", '" ['], "n": [1, 2]}
    assert second.caveat == first.caveat


FAULTS = [
    ("", 1, 1, "the file is empty"),
    ("# only a comment\n", 1, 1, "the file is empty"),
    ("- schema\n", 1, 1, "a scenario is a mapping"),
    ("relationships: aaa:a#bbb@ccc:c\n", 1, 1, "there is no `schema` and no `schemaFile`"),
    ("schema:\n", 1, 1, "there is no `schema` and no `schemaFile`"),
    ("schema: [a]\n", 1, 9, "`schema` is a text; put it in quotes"),
    ("schema: 42\n", 1, 9, "`schema` is a text; put it in quotes"),
    ("schema: !other a\n", 1, 9, "`schema` is a text"),
    ("schema: a\nschema: b\n", 2, 1, "`schema` is there twice"),
    ("schema: a\nschemaFile: b.zed\n", 2, 13, "exclude each other"),
    ("schema: a\nschema_file: b\n", 2, 1, "no key of a scenario; did you mean `schemaFile`?"),
    ("schema: a\nzzz: b\n", 2, 1, "`zzz` is no key of a scenario; there are `schema`, "),
    ("schema: a\n<<: {}\n", 2, 1, "a key is a text"),
    ("schema: a\n? [b]\n: c\n", 2, 3, "a key is a text"),
    ("schema: a\nnamespace_configs: []\n", 2, 1, "`namespace_configs` is of an older format"),
    ("schema: a\nvalidation_tuples: []\n", 2, 1, "write them under `assertions`"),
    ("schema: a\nrelationships: [aaa:a#bbb@ccc:c]\n", 2, 16, "`relationships` is a text"),
    ("schema: a\nrelationships: aaa:a#bbb\n", 2, 16, "`aaa:a#bbb` is not a relationship"),
    ("schema: a\nrelationships: |\n  aaa:a#bbb@ccc:c[cav\n", 3, 3, "is not closed"),
    ("schema: a\nrelationships: |\n  aaa:a#bbb@ccc:c[cav:{x}]\n", 3, 3, "not a JSON object"),
    ("schema: a\nassertions: []\n", 2, 13, "`assertions` is a mapping"),
    ("schema: a\nassertions:\n  assertTru: []\n", 3, 3, "did you mean `assertTrue`?"),
    ("schema: a\nassertions:\n  assertTrue: a\n", 3, 15, "`assertTrue` is a list"),
    ("schema: a\nassertions:\n  assertTrue:\n    - 1\n", 4, 7, "an item of `assertTrue` is a text"),
    ("schema: a\nassertions:\n  assertTrue:\n    - a b\n", 4, 7, "`a` is not a relationship"),
    (
        "schema: a\nassertions:\n  assertTrue:\n    - aaa:a#bbb@ccc:c[cav]\n",
        4,
        7,
        "has a caveat or an expiration, and a question has none",
    ),
    (
        "schema: a\nassertions:\n  assertTrue:\n    - aaa:a#bbb@ccc:c wit {}\n",
        4,
        7,
        "`wit` follows the question",
    ),
    *(
        (
            f"schema: a\nassertions:\n  assertTrue:\n    - 'aaa:a#bbb@ccc:c with{rest}'\n",
            4,
            7,
            "what follows `with` is not a JSON object",
        )
        for rest in ("", " [1]", " {", ' {"a": 1} x', " {a: 1}")
    ),
    ("schema: a\nvalidation: [a]\n", 2, 13, "`validation` is a mapping"),
    ("schema: a\nvalidation:\n  aaa:a: []\n", 3, 3, "`aaa:a` names no relation or permission"),
    ("schema: a\nvalidation:\n  aaa:a#b: []\n", 3, 3, "`b` cannot name a relation"),
    ("schema: a\nvalidation:\n  aaa:a#bbb: a\n", 3, 14, "`aaa:a#bbb` is a list"),
    *(
        (
            f"schema: a\nvalidation:\n  aaa:a#bbb:\n    - '{text}'\n",
            4,
            7,
            "is no expected subject; write",
        )
        for text in (
            "ccc:c",
            "[ccc:c]",
            "[ccc:c] is",
            "[ccc:c] is <aaa:a#bbb>/",
            "[ccc:c] is aaa:a#bbb",
            "[ccc:c][...] is <aaa:a#bbb>",
            "[] is <aaa:a#bbb>",
            "[ccc:* - ccc:d] is <aaa:a#bbb>",
        )
    ),
    (
        "schema: a\nvalidation:\n  aaa:a#bbb:\n    - '[ccc:c] is <aaa:a>'\n",
        4,
        7,
        "`aaa:a` names no relation or permission",
    ),
    (
        "schema: a\nvalidation:\n  aaa:a#bbb:\n    - '[ccc:* - {ccc}] is <aaa:a#bbb>'\n",
        4,
        7,
        "`ccc` is not an object",
    ),
    ("schema: a\nassertions: {\n", 3, 1, "this is not YAML: "),
    ("schema: a: b\n", 1, 10, "this is not YAML: put a text that has `: ` in it in quotes"),
    ("schema: |\n\ta\n", 2, 1, "this is not YAML: indent with spaces, not with tabs"),
    ("schema: a\n---\nschema: b\n", 2, 1, "a scenario is one document"),
    ("schema: *a\n", 1, 9, "this is not YAML: found undefined alias 'a'"),
    ("schema: a\x07b\n", 1, 10, "this is not YAML: it has the character U+0007"),
    ('schema: "\\Uffffffff"\n', 1, 1, "this is not YAML: an escape or a directive"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), FAULTS)
def test_a_fault_of_the_form_is_told_with_its_place(
    text: str, line: int, column: int, message: str
) -> None:
    [(at_line, at_column, said)] = faults_of(text)
    assert message in said
    assert (at_line, at_column) == (line, column), said


def test_faults_are_told_together_in_the_order_of_the_text() -> None:
    text = scenario_text("assertions:\n  assertTrue: [x]\nvalidation:\n  y: []\nz: 1\n")
    found = faults_of(text)
    assert [said.partition(" ")[0] for *_, said in found] == ["`x`", "`y`", "`z`"]
    assert found == sorted(found)
    with pytest.raises(ScenarioError, match=r"\As.yaml:29:16: `x` is not a relationship"):
        parse_scenario(text, source="s.yaml")


def test_a_relationship_that_is_there_already_is_told_with_the_first() -> None:
    stored = "  aaa:a#bbb@ccc:c\n  aaa:a#bbb@ccc:d\n  aaa:a#bbb@ccc:c#...[cav]\n"
    [(line, column, said)] = faults_of(f"schema: a\nrelationships: |\n{stored}")
    assert (line, column) == (5, 3)
    assert said == "`aaa:a#bbb@ccc:c` is there already, on line 3"


# A schema in a file of its own


def test_a_schema_file_is_beside_the_scenario_or_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("schema.zed", "below/schema.zed"):
        (tmp_path / name).write_text(USER, encoding="utf-8")
        text = f"schemaFile: {name}\n"
        schema = parse_scenario(text, directory=tmp_path).schema
        assert not isinstance(schema, Text)
        assert schema.path == (tmp_path / name).resolve()


@pytest.mark.parametrize(
    "name", ["../schema.zed", "/schema.zed", "c:/a.zed", "a/../../b.zed", '"a\\0b"', "a\\b", "''"]
)
def test_a_schema_file_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    [(line, column, said)] = faults_of(f"schemaFile: {name}\n", tmp_path)
    assert (line, column) == (1, 13)
    assert "is no file beside or below this one" in said


def test_a_schema_file_that_leads_out_or_nowhere_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "out.zed").write_text(USER, encoding="utf-8")
    (inside / "link.zed").symlink_to(tmp_path / "out.zed")
    (inside / "loop.zed").symlink_to(inside / "loop.zed")
    assert "`loop.zed` cannot be found" in faults_of("schemaFile: loop.zed", inside)[0][2]
    assert "leads out of this file's directory" in faults_of("schemaFile: link.zed", inside)[0][2]
    assert "there is no file `no.zed`" in faults_of("schemaFile: no.zed", inside)[0][2]
    assert "there is no directory" in faults_of("schemaFile: no.zed")[0][2]


# Files


def test_a_file_is_read_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_bytes(f"\ufeffschema: |\r\n  {USER}\r\n\r\nbad: 1\r\n".encode())
    with pytest.raises(ScenarioError, match=f"^{file}:4:1: `bad` is no key") as caught:
        read_scenario(file)
    assert caught.value.diagnostics[0].excerpt == "bad: 1\n^"


def test_a_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "one.yaml"
    with pytest.raises(InvalidArgumentError, match="cannot be read: No such file"):
        read_scenario(file)
    with pytest.raises(InvalidArgumentError, match="cannot be read: Is a directory"):
        read_scenario(tmp_path)
    with pytest.raises(InvalidArgumentError, match="cannot be read: "):
        read_scenario("a\0b")
    file.write_bytes(b"schema: \xff")
    with pytest.raises(InvalidArgumentError, match="is not UTF-8 at byte 9"):
        read_scenario(file)
    monkeypatch.setattr(reader, "MAX_BYTES", 8)
    with pytest.raises(InvalidArgumentError, match="is longer than 8 bytes"):
        read_scenario(file)


# Hostile files


def test_aliases_count_as_often_as_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    once = "schema: a\nassertions:\n  assertTrue: &list [aaa:a#bbb@ccc:c, aaa:a#bbb@ccc:d]\n"
    twice = f"{once}  assertFalse: *list\n"
    assert len(parse_scenario(twice).assertions) == 4
    monkeypatch.setattr(reader, "MAX_ITEMS", 3)
    assert len(parse_scenario(once).assertions) == 2
    assert [said for *_, said in faults_of(twice)] == ["the file has more than 3 items; split it"]


def test_a_long_text_counts_as_often_as_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "schema: a\nassertions:\n  assertTrue: [&text aaa:a#bbb@ccc:c, *text, *text]\n"
    assert len(parse_scenario(text).assertions) == 3
    monkeypatch.setattr(reader, "MAX_BYTES", 70)
    assert "the file means more than 70 characters" in faults_of(text)[0][2]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused(opening: str) -> None:
    text = f"schema: a\nassertions:\n  {opening * 50_000}"
    assert "it is nested more than 20 levels deep" in faults_of(text)[0][2]


def test_no_tag_makes_an_object() -> None:
    assert "is a text" in faults_of("schema: !!python/object/apply:os.getcwd []\n")[0][2]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), max_size=200)
    | st.text(alphabet="aA:#@-[]{}<>|'\"\n /*&!%,.\\")
)
def test_any_text_is_a_scenario_or_told_why_not(text: str) -> None:
    for whole in (text, f"schema: a\nrelationships: |\n  {text}\n", scenario_text(text)):
        for line, column, message in faults_of(whole):
            assert (line >= 1, column >= 1, bool(message)) == (True, True, True)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))), st.data())
def test_every_character_of_a_text_has_its_place(lines: list[str], data: st.DataObject) -> None:
    """Whatever style PyYAML writes a text in, its characters are found where they stand."""
    value = "\n".join(lines)
    style = data.draw(st.sampled_from(["|", ">", "'", '"', None]))
    text = yaml.dump({"schema": value}, default_style=style, allow_unicode=True)
    assert json.dumps(yaml.safe_load(text)["schema"]) == json.dumps(value)
    if faults_of(text):  # a null, a number
        assert style is None
        return
    schema = parse_scenario(text).schema
    assert isinstance(schema, Text)
    assert schema.value == value
    for character, at in zip(value, schema.offsets, strict=False):
        if not character.isspace():
            assert text[at] in (character, "\\")
