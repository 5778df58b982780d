"""What is asked about: a schema as text, what is stored, and what comes with questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from relata.relationships import ObjectRef, Relationship
from tests.strategies import World


class Scene(NamedTuple):
    """A world as text, drawn or written by hand."""

    schema: str
    stored: tuple[Relationship, ...]
    contextual: tuple[Relationship, ...] = ()
    context: Mapping[str, Any] = {}
    objects: tuple[ObjectRef, ...] = ()
    """Objects that questions may name, beside those that relationships do."""

    @classmethod
    def of(cls, world: World) -> Scene:
        """What a drawn world comes to."""
        return cls(world.text, world.stored, world.contextual, world.context, tuple(world.objects))

    @property
    def relationships(self) -> tuple[Relationship, ...]:
        """The stored relationships, with the contextual ones in their places."""
        return tuple({item.key: item for item in (*self.stored, *self.contextual)}.values())

    def lines(self) -> list[str]:
        """All of it, for a person who wants to see what went wrong."""
        return [
            *self.schema.splitlines(),
            *(f"// {item}" for item in self.relationships),
            f"// context: {dict(self.context)}",
        ]
