"""Which organizations an organization lies below, by the relationships that say so.

The database is asked, not the graph in memory: what a token is held to counts at once, in every
process. A condition or an end of such a relationship makes no difference until it has ended.
"""

from __future__ import annotations

from collections.abc import Iterator

from relata.errors import LimitExceededError
from relata.relationships import RelationshipFilter
from relata.store import Store

_MOST = 100
"""How many organizations may be above one; nobody has so many, and each costs a query."""


class Ancestry:
    """Asks for the organizations above one, by the names that the schema has for them."""

    def __init__(
        self, store: Store, *, definition: str = "organization", parent: str = "parent"
    ) -> None:
        self._store = store
        self._definition = definition
        self._parent = parent

    def of(self, organization: str) -> Iterator[str]:
        """The organization, then those above it, the nearest first, each once.

        Raises LimitExceededError where they do not end.
        """
        revision = self._store.state().head
        level, seen = [organization], {organization}
        while level:
            yield from level
            above = {parent for one in level for parent in self._parents(one, revision)}
            level = sorted(above - seen)
            seen |= above
            if len(seen) > _MOST:
                raise LimitExceededError(
                    f"more than {_MOST} organizations are above one another", field="organization"
                )

    def _parents(self, organization: str, revision: int) -> list[str]:
        stored = self._store.read(
            RelationshipFilter(
                resource_type=self._definition,
                resource_id=organization,
                relation=self._parent,
                subject_type=self._definition,
            ),
            revision=revision,
            limit=_MOST + 1,
        )
        return [it.relationship.subject.id for it in stored]
