"""How many examples each property tries: RELATA_EXAMPLES, or a few."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("RELATA_EXAMPLES", "60"))

thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
"""A world is large to draw, and the counts of one test are of all its examples together."""

few = settings(thorough, max_examples=max(4, EXAMPLES // 50))
"""For what is slow to answer."""
