"""Expressions: how operators bind, and what the model makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relata.schema import (
    Arrow,
    Computed,
    Exclusion,
    Expression,
    Intersection,
    Nil,
    Self,
    Union,
    compile_schema,
)
from tests.schema.texts import show

NAMES = ("aaa", "bbb", "ccc", "ddd")


def expression_of(text: str) -> Expression:
    relations = "".join(f"\trelation {name}: doc\n" for name in NAMES)
    schema = compile_schema(
        f"use self\ndefinition doc {{\n{relations}\tpermission result = {text}\n}}\n"
    )
    return schema.definitions["doc"].permissions["result"].expression


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # `+` binds tightest, then `&`, then `-`.
        ("aaa + bbb & ccc", "((aaa + bbb) & ccc)"),
        ("aaa & bbb + ccc", "(aaa & (bbb + ccc))"),
        ("aaa + bbb - ccc", "((aaa + bbb) - ccc)"),
        ("aaa - bbb + ccc", "(aaa - (bbb + ccc))"),
        ("aaa & bbb - ccc", "((aaa & bbb) - ccc)"),
        ("aaa - bbb & ccc", "(aaa - (bbb & ccc))"),
        ("aaa - bbb & ccc + ddd", "(aaa - (bbb & (ccc + ddd)))"),
        ("aaa + bbb & ccc + ddd - aaa & bbb", "(((aaa + bbb) & (ccc + ddd)) - (aaa & bbb))"),
        # Left to right.
        ("aaa - bbb - ccc", "((aaa - bbb) - ccc)"),
        ("aaa - bbb - ccc - ddd", "(((aaa - bbb) - ccc) - ddd)"),
        # Parentheses.
        ("aaa - (bbb - ccc)", "(aaa - (bbb - ccc))"),
        ("aaa & (bbb - ccc)", "(aaa & (bbb - ccc))"),
        ("aaa + (bbb & ccc)", "(aaa + (bbb & ccc))"),
        ("(aaa)", "aaa"),
        ("((aaa)) - (((bbb)))", "(aaa - bbb)"),
        # Flat, with or without parentheses.
        ("aaa + bbb + ccc", "(aaa + bbb + ccc)"),
        ("aaa + (bbb + (ccc + ddd))", "(aaa + bbb + ccc + ddd)"),
        ("(aaa & bbb) & (ccc & ddd)", "(aaa & bbb & ccc & ddd)"),
        ("aaa + (bbb & (ccc + ddd))", "(aaa + (bbb & (ccc + ddd)))"),
        ("aaa + aaa", "(aaa + aaa)"),
        # Operands.
        ("aaa", "aaa"),
        ("nil", "nil"),
        ("self", "self"),
        ("self - nil", "(self - nil)"),
        ("aaa->bbb", "aaa->bbb"),
        ("aaa.any(bbb)", "aaa->bbb"),
        ("aaa.all(bbb)", "aaa.all(bbb)"),
        ("aaa -> bbb - ccc . all ( ddd )", "(aaa->bbb - ccc.all(ddd))"),
        ("aaa->nothing_has_this", "aaa->nothing_has_this"),
        # A line may end after an operator, and after what cannot end a statement.
        ("aaa +\n\t\tbbb -\n\n\t\tccc", "((aaa + bbb) - ccc)"),
        ("\n\t\taaa", "aaa"),
        ("(\naaa)", "aaa"),
        ("aaa->\nbbb", "aaa->bbb"),
        ("aaa.all(\nbbb)", "aaa.all(bbb)"),
        ("aaa + // why\n bbb", "(aaa + bbb)"),
        ("aaa /* over\nlines */ + bbb", "(aaa + bbb)"),
    ],
)
def test_an_expression_means(text: str, shown: str) -> None:
    assert show(expression_of(text)) == shown


def flat(kind: type[Union] | type[Intersection], children: list[Expression]) -> Expression:
    """Join children as the compiler does: none of the kind directly under its own kind."""
    parts: list[Expression] = []
    for child in children:
        parts.extend(child.children if isinstance(child, kind) else [child])
    return kind(tuple(parts))


names = st.sampled_from(NAMES)
leaves: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Computed, names),
    st.builds(Arrow, names, names, st.booleans()),
    st.just(Nil()),
    st.just(Self()),
)


def over(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=4)
    return st.one_of(
        st.builds(lambda children: flat(Union, children), several),
        st.builds(lambda children: flat(Intersection, children), several),
        st.builds(Exclusion, inner, inner),
    )


@given(st.recursive(leaves, over, max_leaves=12))
def test_writing_an_expression_and_reading_it_back_changes_nothing(expression: Expression) -> None:
    assert expression_of(show(expression)) == expression
