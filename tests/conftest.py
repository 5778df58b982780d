"""Assertions of the store's suite, which is in mixins, explain themselves as others do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.store.suite")
