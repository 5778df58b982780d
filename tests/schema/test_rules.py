"""What the rules on wildcards, aliases and annotations let through, and what they do not."""

from __future__ import annotations

import pytest

from relata.errors import SchemaTypeError
from tests.schema.texts import compiled, faults


@pytest.mark.parametrize(
    "body",
    [
        # A userset of its own definition may lead to a wildcard.
        "relation one: user:*\n relation two: doc#one",
        "relation one: user:* | doc#one",
        # A permission stops a wildcard.
        "relation one: user:*\n permission mid = one\n relation two: doc#mid\n"
        " permission three = two->mid",
        # Only what stands before an arrow counts.
        "relation one: user:*\n relation two: doc\n permission three = two->one",
    ],
)
def test_a_wildcard_may(body: str) -> None:
    compiled(f"definition user {{}}\ndefinition doc {{\n {body}\n}}")


def test_a_wildcard_behind_a_permission_of_another_definition_may() -> None:
    compiled("""
        definition user {}
        definition group { relation all_users: user:*
            permission member = all_users
        }
        definition doc { relation viewer: group#member
        }
    """)


def test_a_wildcard_is_found_whatever_the_other_relations_are_called() -> None:
    """SpiceDB 1.54 accepts this, and refuses it where `team#open` has another name."""
    text = """
        definition user {
            relation open: user:*
            relation mates: team#open
        }
        definition team { relation open: user
        }
        definition group { relation guests: user#open
        }
    """
    (fault,) = faults(text, SchemaTypeError)
    assert fault.message == "`user#open` includes `user:*`; another definition cannot allow it"
    assert (fault.line, fault.column) == (7, 37)


def test_a_circle_of_usersets_ends() -> None:
    text = """
        definition user {}
        definition one { relation next: two#next | one#next | user:*
        }
        definition two { relation next: one#next
        }
    """
    found = [(fault.line, fault.column) for fault in faults(text, SchemaTypeError)]
    assert found == [(2, 33), (4, 33)]


@pytest.mark.parametrize(
    "body",
    [
        "permission one = two + nil\n permission two = one",
        "permission one = two + two\n permission two = one",
        "relation parent: doc\n permission one = parent->one",
        "permission one = nil - one",
    ],
)
def test_recursion_that_is_more_than_a_name_is_allowed(body: str) -> None:
    compiled(f"definition doc {{\n {body}\n}}")


def test_an_alias_of_a_circle_is_not_told_again() -> None:
    text = """
        definition doc {
            permission far = one
            permission two = one
            permission one = two
        }
    """
    (fault,) = faults(text, SchemaTypeError)
    assert (fault.message, fault.line) == (
        "`two` is only another name for itself, by way of `one`",
        3,
    )


ANNOTATED = """
    use typechecking
    use self
    definition user {{}}
    definition team {{ relation member: user | team#member
    }}
    definition doc {{
        relation parent: doc | team
        relation owner: user
        relation banned: team
        relation open: user:*
        relation via: team#member
        permission result: {types} = {expression}
        permission loop = result + banned
    }}
"""


@pytest.mark.parametrize(
    ("types", "expression"),
    [
        ("user", "owner"),
        ("user", "open"),
        ("user", "via"),
        ("user", "nil + self"),
        ("user", "parent->owner"),
        ("user | team", "owner - banned"),
        ("user | nobody | user | team", "parent->loop"),
    ],
)
def test_an_annotation_may_say_more_than_needed(types: str, expression: str) -> None:
    compiled(ANNOTATED.format(types=types, expression=expression))


@pytest.mark.parametrize(
    ("types", "expression", "missing"),
    [
        ("team", "owner", "user"),
        ("team", "open", "user"),
        ("team", "via", "user"),
        ("user", "owner - banned", "team"),
        ("user", "nil & (owner & (self - banned))", "team"),
        ("user", "loop", "team"),
        ("user", "parent->loop", "team"),
        ("user", "parent.all(banned)", "team"),
        ("nobody", "parent->member", "user"),
    ],
)
def test_an_annotation_may_not_leave_a_type_out(types: str, expression: str, missing: str) -> None:
    (fault,) = faults(ANNOTATED.format(types=types, expression=expression), SchemaTypeError)
    assert fault.message == f"the annotation leaves out `{missing}`, which can hold this"
    assert fault.line == 12


def test_without_the_flag_annotations_are_not_looked_at() -> None:
    text = ANNOTATED.format(types="nobody", expression="owner")
    compiled(text.replace("use typechecking", ""))


@pytest.mark.parametrize("target", ["re", "read_", "r" * 65, "Read"])
@pytest.mark.parametrize("form", ["parent->{}", "parent.any({})", "parent.all({})"])
def test_the_name_after_an_arrow_is_one_that_could_be_there(form: str, target: str) -> None:
    """Whether it is there is not asked; what no definition could have is a mistake."""
    expression = form.format(target)
    text = f"definition doc {{\n  relation parent: doc\n  permission view = {expression}\n}}\n"
    (fault,) = faults(text, SchemaTypeError)
    assert "cannot name a relation or permission" in fault.message
    assert (fault.line, fault.column) == (3, 21 + expression.rindex(target))
