"""FiftyOne and its database: found, or one line that says what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from curate.core.errors import CurateError, InputError, MissingExtra


def fiftyone() -> Any:
    """The library, its telemetry off. Raises MissingExtra where it is not installed."""
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    try:
        import fiftyone
    except ImportError as error:
        raise MissingExtra("fiftyone", "app", "looking at a run in FiftyOne") from error
    return fiftyone


@contextmanager
def connected(fo: Any) -> Iterator[None]:
    """Whatever keeps the database from answering becomes one line with the remedy."""
    from fiftyone.core.config import FiftyOneConfigError
    from pymongo.errors import PyMongoError

    try:
        fo.list_datasets("curate-*")
    except (OSError, FiftyOneConfigError, PyMongoError) as error:
        raise CurateError(
            "FiftyOne has no MongoDB to write to. Set FIFTYONE_DATABASE_URI to the address of one "
            "(mongodb://127.0.0.1:27017), or install FiftyOne where it can bring its own: pip install fiftyone-db"
        ) from error
    try:
        yield
    except (OSError, PyMongoError) as error:
        raise CurateError(f"FiftyOne's database failed: {error}") from error


def open_dataset(fo: Any, name: str, *, create: bool = False) -> Any:
    """The dataset of a run. Raises InputError where it is missing (and not to be created) or was not made by curate."""
    if not fo.dataset_exists(name):
        if not create:
            raise InputError(f"FiftyOne has no dataset {name!r}", remedy="Push the run first: curate fiftyone RUN")
        dataset = fo.Dataset(name, persistent=True)
        dataset.add_sample_field("image_id", fo.StringField)
        dataset.create_index("image_id", unique=True)
        return dataset
    dataset = fo.load_dataset(name)
    if "image_id" not in dataset.get_field_schema():
        raise InputError(f"the FiftyOne dataset {name!r} was not made by curate", remedy="Give another name")
    return dataset


def dataset_name(run_name: str, name: str | None) -> str:
    """The dataset's name: the one given, else `curate-` and the run's."""
    return name or f"curate-{run_name}"


__all__ = ["connected", "dataset_name", "fiftyone", "open_dataset"]
