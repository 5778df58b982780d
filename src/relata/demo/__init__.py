"""The demo: Relata, a stand-in for an identity provider and a product's API, over real HTTP.

`run_demo` starts the three servers on this machine, tells a story of users, organizations,
products and tokens, and holds every answer to the expected one. Nothing else in the package
imports this one, so none of its stand-ins runs outside of it.
"""

from __future__ import annotations

from relata.demo.run import run_demo

__all__ = ["run_demo"]
