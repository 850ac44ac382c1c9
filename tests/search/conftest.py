"""What the tests of the searches share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from curate.recipe.execute import LocalExecutor


@pytest.fixture(scope="session")
def two_workers() -> Iterator[LocalExecutor]:
    """Two processes, started once."""
    with LocalExecutor(2) as executor:
        yield executor
