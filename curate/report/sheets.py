"""Contact sheets: the images that a table lists, in groups, replicas as a trainer sees them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curate.core import columns as col
from curate.core.errors import CurateError, InputError, MissingExtra, nearest
from curate.report.pictures import SIDE, Picture, thumbnail
from curate.report.runs import RunFolder

MAX_PICTURES = 128  # of one group


@dataclass(frozen=True)
class ContactSheet:
    """Groups of (picture, what is said under it), in order of the table; `note` says what is not as it should be."""

    groups: tuple[tuple[str, tuple[tuple[Picture, str], ...]], ...]
    note: str | None


def contact_sheet(run: RunFolder, table: pd.DataFrame, options: Mapping[str, Any]) -> ContactSheet:
    """The contact sheet of a figure of the kind `contact_sheet`; the table has `image_id`.

    options: group: the column that parts the sheet; say: the column told under each picture; augment: the pipeline by
    which rows with `parent_id` and `augment_seed` are drawn from their parent's pixels (null: the parent as it is).
    Raises InputError for a column that the table lacks.
    """
    group, say = options.get("group"), options.get("say")
    for name in (col.IMAGE_ID, *(name for name in (group, say) if name)):
        if name not in table.columns:
            raise InputError(f"the figure names a column that its table lacks. {nearest(str(name), map(str, table))}")
    augment, note = _augmenter(options.get("augment"))
    parents = table[col.PARENT_ID] if col.PARENT_ID in table else pd.Series([None] * len(table), dtype="str")
    sources = parents.fillna(table[col.IMAGE_ID]).astype("str")
    seeds = table[col.AUGMENT_SEED].tolist() if col.AUGMENT_SEED in table else [0] * len(table)
    known = run.look_up(sorted(set(sources)))
    names = table[group].astype("str").tolist() if group else [""] * len(table)
    told = table[say].astype("str").fillna("no value").tolist() if say else [""] * len(table)
    parts: dict[str, list[tuple[Picture, str]]] = {}
    rows = zip(names, table[col.IMAGE_ID], sources, parents.notna(), seeds, told, strict=True)
    for name, image_id, source, replica, seed, text in rows:
        shown = parts.setdefault(name, [])
        if len(shown) < MAX_PICTURES:
            found = known.get(source, {})
            uri, problem = None, "not an image of the source"
            if found and replica and seed and augment is not None:
                uri, problem = _replica(run.root, found.get(col.PATH), augment, int(seed))
            elif found:
                uri, problem = thumbnail(run.root, found.get(col.PATH))
            picture = Picture(str(image_id), text, uri, problem)
            shown.append((picture, "replica" if replica else "photograph"))
    return ContactSheet(tuple((name, tuple(shown)) for name, shown in parts.items()), note)


def _augmenter(pipeline: Any) -> tuple[Any, str | None]:
    if pipeline is None:
        return None, None
    from curate.balance.augment import Augmenter

    try:
        return Augmenter(pipeline), None
    except MissingExtra as error:
        return None, f"Replicas are shown as their parents: {error}"
    except CurateError:
        return None, "Replicas are shown as their parents: the pipeline's file has changed or gone since the run."


def _replica(root: Path | None, path: str | None, augment: Any, seed: int) -> tuple[str | None, str | None]:
    """A replica's picture as a JPEG data URI and None, or None and why there is none."""
    uri, problem = thumbnail(root, path)
    if uri is None or root is None:
        return None, problem  # the same reasons, and the same limits, as for a photograph
    import cv2

    from curate.balance.augment import resized
    from curate.images.decode import decode
    from curate.images.files import read_bytes
    from curate.images.reasons import REASONS

    reason, data = read_bytes(root, path)
    found = decode(data) if not reason else None
    if found is None or found.pixels is None:
        return None, REASONS[reason or (found.reason if found else 0)].replace("_", " ")
    drawn: np.ndarray = augment(resized(found.pixels, SIDE), seed)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}", None
