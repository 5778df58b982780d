"""Schemas that are nearly right: texts over the whole language, with a few tokens changed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import strategies as st

from tests.strategies import worlds

_TOKENS = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/|->|\.\.\.|&&|\|\||[<>=!]=|\w+|\"[^\"\n]*\"|.", re.DOTALL
)

TEXTS = (
    """\
use expiration
use self
use typechecking
use partial

/** who signs in */
definition user {}

partial owned {
	relation owner: user | group#member
	permission own = owner
}

partial shared {
	...owned
	relation viewer: user | user:* | user with weekday and expiration
	permission view = viewer + own
}

// a caveat
caveat weekday(day int, days list<int>) {
	day in days && size(days) < 8
}

definition group {
	relation member: user | group#member | user with expiration
	permission everybody: user | group = member
}

definition tenant/document {
	...shared
	relation parent: tenant/document | group
	permission edit: user = own & (owner - nil)
	permission above = parent->view + parent.any(view) + parent.all(everybody)
	permission itself = self
}
""",
    """\
caveat limits(
	amount double, name string, at timestamp, within duration, tags map<string>, raw bytes,
	from ipaddress, extra any, count uint, flag bool, nested list<list<int>>
) {
	amount > 1.5 && name.startsWith("a") && at > timestamp("2020-01-01T00:00:00Z") &&
	within < duration("1h") && tags.isSubtreeOf(tags) && size(raw) > 2 &&
	from.in_cidr("10.0.0.0/8") && extra == null && count >= 1 && (flag || nested[0][0] == 1) &&
	has(tags.key) && tags.all(k, tags[k] != '') && [1, 2].exists(i, i == count)
}

definition user {}

definition org/team/unit {
	relation member: user with limits | user:* with limits
	relation lead: user
	permission act = member & lead; permission rest = member - lead
}
""",
    """\
definition user {}

definition folder {
	relation parent: folder
	relation reader: user | user:*
	relation writer: user | folder#writer

	permission read = reader + parent->read
	permission write = writer + (parent->write - reader) & writer
	permission first = second + reader
	permission second = first & reader
}
""",
    """\
use expiration
definition user {}
definition with_long_name_of_letters {
	relation one: user with expiration
	relation two: user:* | user#... ; relation three: user with late and expiration
}
caveat late(x int) { x > 1 } /* the end */
""",
)
"""Texts with every construct that a schema on the wire can have."""

_EXTRA = (
    *"{}()|+-&/=:;#*.,<>?![]%@$~^\\\"'`é0_",
    *("->", "...", "\n", " ", "\t", "\r\n", "//", "/*", "*/", '"a"', "'a'", "'''", '"""'),
    *("use", "definition", "caveat", "relation", "permission", "nil", "with", "self", "and"),
    *("partial", "import", "expiration", "typechecking", "any", "all", "int", "list", "1", "1.5"),
    *("ab", "a", "Abc", "a_", "_ab", "true", "null", "in", "user", "x" * 65, "9ab", "a-b", "ab/cd"),
    *("deprecation", "&&", "||", "==", "has", "size", "// spicedb-ignore-warning: x\n"),
)


@st.composite
def mutated_schemas(draw: st.DrawFn) -> str:
    """Draw a schema and change up to three of its tokens."""
    text = draw(st.one_of(st.sampled_from(TEXTS), worlds().map(lambda world: world.text)))
    tokens = _TOKENS.findall(text)
    for _ in range(draw(st.integers(0, 3))):
        tokens = draw(_mutated(tokens))
    return "".join(tokens)


def _mutated(tokens: Sequence[str]) -> st.SearchStrategy[list[str]]:
    """One token less, more, elsewhere, or another."""
    places = st.integers(0, max(0, len(tokens) - 1))
    others = st.one_of(st.sampled_from(tokens), st.sampled_from(_EXTRA))
    return st.one_of(
        places.map(lambda at: [*tokens[:at], *tokens[at + 1 :]]),
        st.builds(lambda at, token: [*tokens[:at], token, *tokens[at:]], places, others),
        st.builds(lambda at, token: [*tokens[:at], token, *tokens[at + 1 :]], places, others),
        st.builds(lambda one, two: _swapped(tokens, one, two), places, places),
    )


def _swapped(tokens: Sequence[str], one: int, two: int) -> list[str]:
    swapped = list(tokens)
    swapped[one], swapped[two] = tokens[two], tokens[one]
    return swapped
