"""Caveats against the real SpiceDB: what compiles, what may be stored, and what is the answer."""

from __future__ import annotations

from collections import Counter

from hypothesis import given

from relata.caveats import Caveat
from relata.errors import ContextError, RelataError, SchemaError
from relata.relationships import CaveatRef, ObjectRef, Relationship, SubjectRef
from relata.schema import compile_schema
from tests.spicedb.comparison import COMPARED, DIFFERENT
from tests.spicedb.driver import SpiceDB
from tests.spicedb.examples import thorough
from tests.spicedb.expressions import Case, cases
from tests.spicedb.questions import CAVEAT, Answered, Asked, Check, Outcome, Refusal

SUBTREE_BREAKS = "`isSubtreeOf` breaks on lists and on maps of the expression"
UINT_IS_NOT_INT = "a `uint` has no arithmetic"
NAN_IS_NOT_ORDERED = "NaN is not ordered"
MAPPED_ADDRESS = "an IPv4 address in IPv6 form is no IPv4 address"
HAS_OF_NO_MAP = "`has` of what is no map is false"
"""The differences; `test_differences.py` pins each."""
ANNE = SubjectRef("user", "anne")


@given(cases())
@thorough
def test_caveats_say_the_same(spicedb: SpiceDB, tally: Counter[str], case: Case) -> None:
    """True, false, which names are missing, or no value."""
    assert differences(spicedb, tally, case) == []


def differences(spicedb: SpiceDB, tally: Counter[str], case: Case) -> list[str]:
    """What SpiceDB and Relata say differently of one caveat."""
    refused = spicedb.write_schema(case.schema)
    try:
        caveat = compile_schema(case.schema).caveats["tested"].caveat
    except SchemaError as error:
        tally["refused"] += 1
        return [] if refused is not None else [f"SpiceDB accepts what Relata refuses: {error}"]
    if refused is not None:
        return [f"Relata accepts what SpiceDB refuses: {refused}"]
    stored = [
        Relationship(ObjectRef("doc", str(number)), "viewer", ANNE, CaveatRef.of("tested", context))
        for number, context in enumerate(case.stored)
    ]
    accepted = spicedb.write_each(case.schema, stored)
    assert not isinstance(accepted, Refusal), accepted
    found = [
        f"storing {item}: SpiceDB {'accepts' if theirs else 'refuses'} it"
        for item, theirs in zip(stored, accepted, strict=True)
        if theirs is not _can_be_stored(caveat, item)
    ]
    kept = tuple(item for item, is_kept in zip(stored, accepted, strict=True) if is_kept)
    checks = tuple(Check(item.resource, "viewer", ANNE) for item in kept)
    answered = spicedb.ask(Asked(case.schema, kept, case.request, checks))
    assert isinstance(answered, Answered), answered
    for item, theirs in zip(kept, answered.checks, strict=True):
        assert item.caveat is not None
        ours = caveat.evaluate(item.caveat.context, case.request)
        verdict = _verdict(case, item.caveat, theirs, ours)
        tally[verdict or DIFFERENT] += 1
        if verdict is None:
            found.append(f"{item} with {case.request}: SpiceDB {theirs}, Relata {ours!r}")
    return found


def _can_be_stored(caveat: Caveat, item: Relationship) -> bool:
    assert item.caveat is not None
    try:
        caveat.require_context(item.caveat.values, field="caveat")
    except ContextError:
        return False
    return True


def _verdict(
    case: Case, item: CaveatRef, theirs: Outcome, ours: bool | frozenset[str] | RelataError
) -> str | None:
    if theirs == ours:
        return COMPARED
    values = {**case.request, **item.values}
    if isinstance(theirs, Refusal):
        if theirs.kind != CAVEAT:
            return None
        return COMPARED if isinstance(ours, RelataError) else _why_failed(case, theirs)
    if "in_cidr" in case.expression and str(values.get("from")).startswith("::ffff:"):
        return MAPPED_ADDRESS
    if "has(deep.a.b)" in case.expression and not isinstance(values["deep"]["a"], dict):
        return HAS_OF_NO_MAP
    return None


def _why_failed(case: Case, refusal: Refusal) -> str | None:
    if "internal error" in refusal.message and "isSubtreeOf" in case.expression:
        return SUBTREE_BREAKS
    if "no such overload" in refusal.message and "uint" in case.parameters.values():
        return UINT_IS_NOT_INT
    return NAN_IS_NOT_ORDERED if "NaN values cannot be ordered" in refusal.message else None
