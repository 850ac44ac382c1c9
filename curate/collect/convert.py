"""Images of any source, written in another layout: what `curate convert` does with images."""

from __future__ import annotations

from pathlib import Path

from curate.collect import SOURCES, recognise
from curate.collect.source import counted
from curate.collect.write import WRITERS, Written, write_images, writer_for
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.shapes import SerialExecutor


def is_image_layout(out: Path, to: str | None) -> bool:
    """Whether a place and a layout's name mean images rather than pairs."""
    return to in WRITERS or (to is None and out.suffix.lower() in {writer.ending for writer in WRITERS.values()})


def convert_images(
    source: str, out: Path, to: str | None = None, *, root: Path | None = None, cache: Path
) -> tuple[Written, list[str]]:
    """Write the images of a source in another layout, byte for byte; also what a reader should know.

    root: the folder of the images, for a table that does not say it. cache: for images that a source draws.
    Raises InputError where the source has no images, or the place is taken.
    """
    params = recognise(source)
    if root is not None:
        if "root" not in type(params).model_fields:
            raise InputError("this source knows where its images are; leave --root out", value=params.kind)
        params = params.model_copy(update={"root": root})
    elif params.kind == "table" and (found := _root_beside(Path(source).expanduser())) is not None:
        params = params.model_copy(update={"root": found})
    collected = SOURCES[params.kind].read(params, None, SerialExecutor(), cache)
    written = write_images(collected.manifest, out, writer_for(out, to))
    left = [f"{counted(number, 'image')} left out: {reason}" for reason, number in written.left_out.items() if number]
    return written, [*collected.notes, *left, *written.lost]


def _root_beside(table: Path) -> Path | None:
    """The folder of a manifest that lies among its images, as `curate convert` writes one."""
    from curate.core.tables import column_names

    if table.name == "manifest.parquet" and col.PATH in column_names(table)[0]:
        return table.parent
    return None
