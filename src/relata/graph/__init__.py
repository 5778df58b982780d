"""What an evaluator reads: relationships as adjacency between interned nodes.

`Resident` keeps the live relationships in memory and follows the store; `Snapshot` reads any
revision straight from the store. Both hand out a `View`, and an evaluator knows nothing else.
"""

from relata.graph.names import Names
from relata.graph.resident import Prepared, Resident
from relata.graph.snapshot import snapshot_view
from relata.graph.view import Adjacency, Edge, Edges, Touched, Trait, View, trait_of

__all__ = [
    "Adjacency",
    "Edge",
    "Edges",
    "Names",
    "Prepared",
    "Resident",
    "Touched",
    "Trait",
    "View",
    "snapshot_view",
    "trait_of",
]
