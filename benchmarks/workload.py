"""The workload: documents in nested folders, seen by users and nested groups, and questions.

Everything follows from a scale and a seed: the same two give the same relationships in the same
order and the same questions. At scale 1 there are 10,000 users, 1,000 groups nested three deep,
10,000 folders five deep, 100,000 documents and about 340,000 relationships.

Half of the questions are allowed and half are denied. An allowed one is made by following
relationships from a document down to a user, a denied one is a random user and document between
which `Walk`, a slow and obvious search that shares nothing with the engine, finds no way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from random import Random

import msgspec

SCHEMA = """\
definition user {}

definition group {
	relation member: user | group#member
}

definition folder {
	relation parent: folder
	relation viewer: user | group#member
	permission view = viewer + parent->view
}

definition document {
	relation parent: folder
	relation viewer: user | group#member
	permission view = viewer + parent->view
}
"""

GROUP_LEVELS = (0.10, 0.30, 0.60)
"""The share of groups at each level, from the top: a group is a member of one a level above."""
FOLDER_LEVELS = (0.01, 0.04, 0.15, 0.30, 0.50)
"""The share of folders at each level, from the top."""
USERS_IN_A_GROUP = 20
VIEWERS_OF_A_DOCUMENT = 2
GROUPS_AMONG_DOCUMENT_VIEWERS = 0.10
GROUPS_AMONG_FOLDER_VIEWERS = 0.10

_MAX_DRAWS = 1_000


class Size(msgspec.Struct, frozen=True):
    """How many objects of each definition there are."""

    users: int
    groups: int
    folders: int
    documents: int


class Asked(msgspec.Struct, frozen=True):
    """A question, whether the user may view the document, and the answer to it."""

    document: str
    user: str
    allowed: bool


class Workload(msgspec.Struct, frozen=True):
    """Relationships in their text form, and questions about them."""

    size: Size
    relationships: tuple[str, ...]
    allowed: tuple[Asked, ...]
    denied: tuple[Asked, ...]


def size_at(scale: float) -> Size:
    """The size at a scale; a tiny scale keeps every level of groups and folders."""
    return Size(
        users=max(USERS_IN_A_GROUP, round(10_000 * scale)),
        groups=max(10, round(1_000 * scale)),
        folders=max(20, round(10_000 * scale)),
        documents=max(50, round(100_000 * scale)),
    )


def generate(scale: float = 1.0, *, seed: int = 1, questions: int = 80_000) -> Workload:
    """Make the workload of a scale and a seed, with this many questions."""
    random = Random(seed)
    size = size_at(scale)
    relationships = tuple(stream(size, random))
    allowed, denied = draw(Walk(relationships), size, random, questions)
    return Workload(size, relationships, allowed, denied)


def stream(size: Size, random: Random) -> Iterator[str]:
    """Make the relationships one after the other, none of them twice."""
    yield from _group_members(size, random)
    yield from _folder_parents(size, random)
    for folder in range(size.folders):
        viewer = _viewer(size, random, GROUPS_AMONG_FOLDER_VIEWERS)
        yield f"folder:f{folder}#viewer@{viewer}"
    for document in range(size.documents):
        yield f"document:d{document}#parent@folder:f{random.randrange(size.folders)}"
        drawn = range(VIEWERS_OF_A_DOCUMENT)
        viewers = [_viewer(size, random, GROUPS_AMONG_DOCUMENT_VIEWERS) for _ in drawn]
        for viewer in dict.fromkeys(viewers):
            yield f"document:d{document}#viewer@{viewer}"


def draw(
    walk: Walk, size: Size, random: Random, questions: int
) -> tuple[tuple[Asked, ...], tuple[Asked, ...]]:
    """Draw questions about the relationships that a walk knows: the allowed, and the denied."""
    half = questions // 2
    return (
        tuple(_draw_allowed(walk, size, random) for _ in range(half)),
        tuple(_draw_denied(walk, size, random) for _ in range(half)),
    )


class Walk:
    """Who may view what, by walking the relationships as they are written."""

    def __init__(self, relationships: Iterable[str]) -> None:
        self._subjects: dict[str, list[str]] = {}
        for relationship in relationships:
            place, _, subject = relationship.partition("@")
            self._subjects.setdefault(place, []).append(subject)

    def subjects(self, resource: str, relation: str) -> Sequence[str]:
        """The subjects that are written for a relation, usersets as they stand."""
        return self._subjects.get(f"{resource}#{relation}", ())

    def places(self, document: str) -> list[str]:
        """A document and every folder above it."""
        found = [document]
        for place in found:
            found += [above for above in self.subjects(place, "parent") if above not in found]
        return found

    def may_view(self, document: str, user: str) -> bool:
        """Whether a user is a viewer of a document or of a folder above it."""
        seen = list(self._viewers(document))
        for subject in seen:
            resource, _, relation = subject.partition("#")
            seen += [member for member in self.subjects(resource, relation) if member not in seen]
        return user in seen

    def _viewers(self, document: str) -> dict[str, None]:
        viewers = (self.subjects(place, "viewer") for place in self.places(document))
        return dict.fromkeys(chain.from_iterable(viewers))


def _group_members(size: Size, random: Random) -> Iterator[str]:
    for group in range(size.groups):
        for user in random.sample(range(size.users), USERS_IN_A_GROUP):
            yield f"group:g{group}#member@user:u{user}"
    for above, below in pairwise(_levels(size.groups, GROUP_LEVELS)):
        for group in below:
            yield f"group:g{random.choice(above)}#member@group:g{group}#member"


def _folder_parents(size: Size, random: Random) -> Iterator[str]:
    for above, below in pairwise(_levels(size.folders, FOLDER_LEVELS)):
        for folder in below:
            yield f"folder:f{folder}#parent@folder:f{random.choice(above)}"


def _viewer(size: Size, random: Random, share_of_groups: float) -> str:
    if random.random() < share_of_groups:
        return f"group:g{random.randrange(size.groups)}#member"
    return f"user:u{random.randrange(size.users)}"


def _levels(count: int, shares: Sequence[float]) -> list[range]:
    """Split `count` numbers into levels of at least one."""
    ends = [max(level, round(count * end)) for level, end in enumerate(accumulate(shares), start=1)]
    return [range(start, end) for start, end in pairwise([0, *ends])]


def _draw_allowed(walk: Walk, size: Size, random: Random) -> Asked:
    """A random document and one of the users that a random way down from it ends at."""
    document = _draw_document(size, random)
    viewed = [place for place in walk.places(document) if walk.subjects(place, "viewer")]
    subject = random.choice(walk.subjects(random.choice(viewed), "viewer"))
    while not subject.startswith("user:"):
        group, _, relation = subject.partition("#")
        subject = random.choice(walk.subjects(group, relation))
    return Asked(document, subject, allowed=True)


def _draw_denied(walk: Walk, size: Size, random: Random) -> Asked:
    for _ in range(_MAX_DRAWS):
        document, user = _draw_document(size, random), f"user:u{random.randrange(size.users)}"
        if not walk.may_view(document, user):
            return Asked(document, user, allowed=False)
    raise ValueError("almost everybody may view everything at this scale; choose a larger one")


def _draw_document(size: Size, random: Random) -> str:
    return f"document:d{random.randrange(size.documents)}"
