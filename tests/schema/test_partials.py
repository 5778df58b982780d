"""Partials: their members stand where they are included."""

from __future__ import annotations

from relata.errors import SchemaTypeError
from tests.schema.texts import compiled, faults, show


def test_members_stand_where_they_are_included() -> None:
    schema = compiled("""
        use partial

        definition user {}

        definition doc {
            relation first: user
            ...owned
            relation last: user
        }

        /** Not kept. */
        partial owned {
            /** Kept. */
            relation owner: user
            permission manage = owner + first
        }

        definition folder {
            relation first: user
            ...owned
        }
    """)
    assert list(schema.definitions) == ["user", "doc", "folder"]
    doc, folder = schema.definitions["doc"], schema.definitions["folder"]
    assert list(doc.relations) == ["first", "owner", "last"]
    assert show(doc.permissions["manage"].expression) == "(owner + first)"
    assert folder.permissions == doc.permissions
    assert doc.relations["owner"].doc == "Kept."
    assert doc.relations["owner"].line == 14


def test_partials_include_partials_in_any_order() -> None:
    schema = compiled("""
        use partial
        partial top { ...middle
            permission all_of = low & high
            ...bottom
        }
        definition doc { ...top
        }
        partial bottom { relation low: doc
        }
        partial middle { relation high: doc
        }
    """)
    assert list(schema.definitions["doc"].relations) == ["high", "low"]


def test_a_partial_that_nothing_includes_may_name_what_is_not_there() -> None:
    schema = compiled("""
        use partial
        partial unused { relation one: nowhere
            relation one: nowhere
            permission two = nothing
        }
        definition doc {}
    """)
    assert list(schema.definitions) == ["doc"]


def test_what_a_definition_lacks_is_told_for_each_that_includes() -> None:
    text = """
        use partial
        partial part { permission one = base
        }
        definition doc { ...part
        }
        definition folder { ...part
        }
    """
    assert [(fault.message, fault.line) for fault in faults(text, SchemaTypeError)] == [
        ("`doc` has no relation or permission `base`", 2),
        ("`folder` has no relation or permission `base`", 2),
    ]


def test_a_partial_included_twice_brings_its_members_twice() -> None:
    text = """
        use partial
        partial part { relation one: doc
        }
        definition doc { ...part
            ...part
        }
    """
    (fault,) = faults(text, SchemaTypeError)
    assert fault.message == "`doc` has `one` already, on line 2"


def test_three_partials_in_a_circle_are_one_fault() -> None:
    text = """
        use partial
        partial aaa { ...bbb
        }
        partial bbb { ...ccc
        }
        partial ccc { ...aaa
        }
        partial outside { ...aaa
        }
        definition doc { ...outside
            permission two = may_come_from_the_circle
        }
    """
    (fault,) = faults(text, SchemaTypeError)
    assert (fault.message, fault.line) == ("the partial `aaa` includes itself", 2)
