"""Assertions of the suite's mixins explain themselves as those of test modules do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.store.suite")
