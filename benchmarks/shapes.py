"""Shapes of data that are known to hurt, each small, with questions whose answers are known.

The answers follow from how a shape is made, not from an engine. Each shape asks of many resources
and subjects in turn, so that an answer which somebody remembers is not all that is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from random import Random

import msgspec

DRAWN = 400
"""Questions of each answer that a shape has at most."""

_USERS = "definition user {}\n"
_GROUPS = f"""\
{_USERS}
definition group {{
	relation member: user | group#member
}}
"""

Pair = tuple[str, str]
"""A resource and a subject."""


class Finding(msgspec.Struct, frozen=True):
    """A lookup and the ids that it must find."""

    of: str
    """The subject of a lookup of documents; the document of a lookup of users."""
    ids: frozenset[str]


class Shape(msgspec.Struct, frozen=True):
    """A schema and relationships, with questions about `view` on documents."""

    name: str
    schema: str
    relationships: tuple[str, ...]
    allowed: tuple[Pair, ...]
    denied: tuple[Pair, ...]
    resources: Finding | None = None
    subjects: Finding | None = None


def plain(size: float = 1.0) -> Shape:
    """What the others are compared with: documents, each with one viewer and nothing else."""
    count = _count(1_000, size)
    users = [f"user:u{number}" for number in range(count)]
    documents = [f"document:d{number}" for number in range(count)]
    own = list(zip(documents, users, strict=True))
    return Shape(
        "plain",
        _documents("relation viewer: user", "viewer"),
        (
            *(f"{document}#viewer@{user}" for document, user in own),
            *(f"{document}#viewer@user:everywhere" for document in documents),
            *(f"document:open#viewer@{user}" for user in users),
        ),
        _drawn(own),
        _drawn(zip(documents, users[1:] + users[:1], strict=True)),
        Finding("user:everywhere", frozenset(f"d{number}" for number in range(count))),
        Finding("document:open", frozenset(f"u{number}" for number in range(count))),
    )


def many_parents(size: float = 1.0) -> Shape:
    """A document in 200 folders, asked about for viewers of 200 others."""
    parents, documents, viewers = _count(200, size), 10, 20
    schema = f"""\
{_USERS}
definition folder {{
	relation viewer: user
}}

{_document("relation parent: folder", "parent->viewer")}"""
    relationships = [
        f"document:d{document}#parent@folder:d{document}/{number}"
        for document, number in product(range(documents), range(parents))
    ]
    for viewer in range(viewers):
        relationships += [
            f"folder:elsewhere{viewer}/{number}#viewer@user:u{viewer}" for number in range(parents)
        ]
        document = viewer % documents
        relationships.append(f"folder:d{document}/{viewer % parents}#viewer@user:u{viewer}")
    pairs = list(product(range(documents), range(viewers)))
    return Shape(
        f"{parents} parents",
        schema,
        tuple(relationships),
        _drawn(_pair(d, v) for d, v in pairs if v % documents == d),
        _drawn(_pair(d, v) for d, v in pairs if v % documents != d),
        Finding("user:u0", frozenset(["d0"])),
        Finding("document:d0", frozenset(f"u{v}" for v in range(0, viewers, documents))),
    )


def deep_chain(size: float = 1.0) -> Shape:
    """A document below folders in folders, seen by those who see the uppermost: 31 arrows."""
    arrows, chains, viewers = max(3, min(31, _count(31, size))), 10, 40
    schema = f"""\
{_USERS}
definition folder {{
	relation parent: folder
	relation viewer: user
	permission view = viewer + parent->view
}}

{_document("relation parent: folder", "parent->view")}"""
    relationships = []
    for chain in range(chains):
        relationships.append(f"document:d{chain}#parent@folder:c{chain}/0")
        relationships += [
            f"folder:c{chain}/{step}#parent@folder:c{chain}/{step + 1}"
            for step in range(arrows - 1)
        ]
    relationships += [
        f"folder:c{viewer % chains}/{arrows - 1}#viewer@user:u{viewer}" for viewer in range(viewers)
    ]
    pairs = list(product(range(chains), range(viewers)))
    return Shape(
        f"{arrows} arrows deep",
        schema,
        tuple(relationships),
        _drawn(_pair(c, v) for c, v in pairs if v % chains == c),
        _drawn(_pair(c, v) for c, v in pairs if v % chains != c),
        Finding("user:u0", frozenset(["d0"])),
        Finding("document:d0", frozenset(f"u{v}" for v in range(0, viewers, chains))),
    )


def all_of_many(size: float = 1.0) -> Shape:
    """Documents for those who are in all of 1,000 groups, asked about for who is not in one."""
    groups, documents, users = _count(1_000, size), 10, 20
    schema = f"{_GROUPS}\n{_document('relation group: group', 'group.all(member)')}"
    relationships = [
        f"document:d{document}#group@group:g{group}"
        for document, group in product(range(documents), range(groups))
    ]
    relationships += [
        f"group:g{group}#member@user:u{user}"
        for group, user in product(range(groups), range(users))
        if user < users // 2 or group != groups * user // users
    ]
    pairs = list(product(range(documents), range(users)))
    return Shape(
        f"{groups:,} in .all()",
        schema,
        tuple(relationships),
        _drawn(_pair(d, u) for d, u in pairs if u < users // 2),
        _drawn(_pair(d, u) for d, u in pairs if u >= users // 2),
        Finding("user:u0", frozenset(f"d{d}" for d in range(documents))),
        Finding("document:d0", frozenset(f"u{u}" for u in range(users // 2))),
    )


def wide_union(size: float = 1.0) -> Shape:
    """A permission that is the union of 50 relations, each of users and of groups."""
    relations, documents, users = _count(50, size), 20, 40
    names = [f"way_{number}" for number in range(relations)]
    written = "\n\t".join(f"relation {name}: user | group#member" for name in names)
    relationships = [f"group:g{user}#member@user:u{user}" for user in range(users)]
    for document, user in product(range(documents), range(users)):
        if _even(document, user):
            who = f"user:u{user}" if user % 4 < 2 else f"group:g{user}#member"
            relationships.append(f"document:d{document}#{names[user % relations]}@{who}")
    pairs = list(product(range(documents), range(users)))
    return Shape(
        f"union of {relations}",
        f"{_GROUPS}\n{_document(written, ' + '.join(names))}",
        tuple(relationships),
        _drawn(_pair(d, u) for d, u in pairs if _even(d, u)),
        _drawn(_pair(d, u) for d, u in pairs if not _even(d, u)),
        Finding("user:u0", frozenset(f"d{d}" for d in range(documents) if _even(d, 0))),
        Finding("document:d0", frozenset(f"u{u}" for u in range(users) if _even(0, u))),
    )


def large_intersection(size: float = 1.0) -> Shape:
    """Two sets of 20,000 with 100 in common: the users of a document, the documents of a user."""
    count = _count(20_000, size)
    common = max(5, count // 200)
    relationships = []
    for number in range(2 * count - common):
        if number < count:
            relationships.append(f"document:wide#reader@user:u{number}")
            relationships.append(f"document:d{number}#reader@user:wide")
        if number >= count - common:
            relationships.append(f"document:wide#approver@user:u{number}")
            relationships.append(f"document:d{number}#approver@user:wide")
    both = range(count - common, count)
    one = [*range(count - common), *range(count, 2 * count - common)]
    return Shape(
        f"{count:,} & {count:,}",
        _documents("relation reader: user\n\trelation approver: user", "reader & approver"),
        tuple(relationships),
        _drawn(_either(both)),
        _drawn(_either(one)),
        Finding("user:wide", frozenset(f"d{number}" for number in both)),
        Finding("document:wide", frozenset(f"u{number}" for number in both)),
    )


def excluded_from_everybody(size: float = 1.0) -> Shape:
    """Documents for everybody but those who are blocked, 10,000 on one and one on 500."""
    blocked, documents = _count(10_000, size), _count(1_000, size)
    relationships = [f"document:d{number}#viewer@user:*" for number in range(documents)]
    relationships += [f"document:d0#blocked@user:u{number}" for number in range(blocked)]
    relationships += [f"document:d{number}#blocked@user:b" for number in range(1, documents, 2)]
    return Shape(
        f"everybody but {blocked:,}",
        _documents("relation viewer: user:*\n\trelation blocked: user", "viewer - blocked"),
        tuple(relationships),
        _drawn(
            [
                *((f"document:d{number}", "user:b") for number in range(0, documents, 2)),
                *((f"document:d{number}", f"user:u{number}") for number in range(1, documents)),
            ]
        ),
        _drawn(
            [
                *((f"document:d{number}", "user:b") for number in range(1, documents, 2)),
                *(("document:d0", f"user:u{number}") for number in range(blocked)),
            ]
        ),
        Finding("user:b", frozenset(f"d{number}" for number in range(0, documents, 2))),
    )


def large_group(size: float = 1.0) -> Shape:
    """Documents for a group of 100,000 users, and for a small one."""
    members, documents = _count(100_000, size), 100
    relationships = [f"group:large#member@user:u{number}" for number in range(members)]
    relationships += [f"group:small#member@user:s{number}" for number in range(20)]
    for number in range(documents):
        group = "small" if number % 2 else "large"
        relationships.append(f"document:d{number}#viewer@group:{group}#member")
    random = Random(1)
    users = [random.randrange(members) for _ in range(DRAWN)]
    return Shape(
        f"group of {members:,}",
        f"{_GROUPS}\n{_document('relation viewer: user | group#member', 'viewer')}",
        tuple(relationships),
        tuple(_pair(2 * (index % 50), user) for index, user in enumerate(users)),
        _drawn(
            [
                *(_pair(1 + 2 * (index % 50), user) for index, user in enumerate(users)),
                *((f"document:d{2 * index}", f"user:s{index}") for index in range(20)),
            ]
        ),
        Finding("user:u0", frozenset(f"d{number}" for number in range(0, documents, 2))),
        Finding("document:d0", frozenset(f"u{number}" for number in range(members))),
    )


def many_groups(size: float = 1.0) -> Shape:
    """Users in 10,000 groups each, and documents that 50 groups may view."""
    groups, viewing, documents, users = _count(10_000, size), 50, 100, 3
    relationships = [
        f"group:u{user}/{number}#member@user:u{user}"
        for user, number in product(range(users), range(groups))
    ]
    relationships += [
        f"document:d{number}#viewer@group:others/{number}/{group}#member"
        for number, group in product(range(documents), range(viewing))
    ]
    relationships += [
        f"document:d{number}#viewer@group:u{number % users}/{number % groups}#member"
        for number in range(documents)
    ]
    pairs = list(product(range(documents), range(users)))
    return Shape(
        f"user in {groups:,} groups",
        f"{_GROUPS}\n{_document('relation viewer: user | group#member', 'viewer')}",
        tuple(relationships),
        _drawn(_pair(d, u) for d, u in pairs if d % users == u),
        _drawn(_pair(d, u) for d, u in pairs if d % users != u),
        Finding("user:u0", frozenset(f"d{d}" for d in range(0, documents, users))),
        Finding("document:d0", frozenset(["u0"])),
    )


def cyclic_groups(size: float = 1.0) -> Shape:
    """Rings of 30 groups, each group a member of the next and of one across the ring."""
    ring, rings = max(4, _count(30, size)), 10
    relationships = []
    for name, number in product(range(rings), range(ring)):
        group = f"group:r{name}/{number}"
        relationships += [
            f"group:r{name}/{(number + step) % ring}#member@{group}#member"
            for step in (1, ring // 2)
        ]
        relationships.append(f"{group}#member@user:r{name}/{number}")
        relationships.append(f"document:r{name}/{number}#viewer@{group}#member")
    pairs = [
        (name, f"document:r{name}/{number}", f"user:r{whose}/{other}", whose)
        for name, whose in product(range(rings), range(rings))
        for number, other in ((0, ring - 1), (ring // 3, 1))
    ]
    everything = frozenset(f"r0/{number}" for number in range(ring))
    return Shape(
        f"rings of {ring} groups",
        f"{_GROUPS}\n{_document('relation viewer: user | group#member', 'viewer')}",
        tuple(relationships),
        _drawn((document, user) for name, document, user, whose in pairs if name == whose),
        _drawn((document, user) for name, document, user, whose in pairs if name != whose),
        Finding("user:r0/1", everything),
        Finding("document:r0/0", everything),
    )


SHAPES: tuple[Callable[[float], Shape], ...] = (
    many_parents,
    deep_chain,
    all_of_many,
    wide_union,
    large_intersection,
    excluded_from_everybody,
    large_group,
    many_groups,
    cyclic_groups,
)


def _count(full: int, size: float) -> int:
    return max(20, round(full * size))


def _document(relations: str, view: str) -> str:
    return f"definition document {{\n\t{relations}\n\tpermission view = {view}\n}}\n"


def _documents(relations: str, view: str) -> str:
    return f"{_USERS}\n{_document(relations, view)}"


def _pair(document: int, user: int) -> Pair:
    return f"document:d{document}", f"user:u{user}"


def _even(document: int, user: int) -> bool:
    return (document + user) % 2 == 0


def _either(numbers: Iterable[int]) -> Iterator[Pair]:
    """For each number, its user on the wide document and the wide user on its document."""
    for number in numbers:
        yield "document:wide", f"user:u{number}"
        yield f"document:d{number}", "user:wide"


def _drawn(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Some of the pairs, in a random order that is always the same."""
    known = list(pairs)
    return tuple(Random(1).sample(known, min(DRAWN, len(known))))
