"""The report on all comparisons of a set of images."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from curate.audit.face_pairs import FacePairs
from curate.audit.faces import Faces, acquired
from curate.audit.identification import IdentificationParams, identification
from curate.audit.measure import Measured, MeasureParams, measure, nothing
from curate.audit.rates import as_table
from curate.audit.source import ALL
from curate.audit.suspects import suspects
from curate.core import columns as col
from curate.core.errors import InputError
from curate.core.groups import cells
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, report
from curate.core.vectors import StoredVectors

_ACQUIRED = ("group", "images", "failures", "fta")


class AuditParams(MeasureParams):
    """What is compared, and at which operating points."""

    group_by: tuple[str, ...] = ()  # labels whose cells are the groups; none: pooled figures only
    split: str | None = col.HOLDOUT  # None: every row
    identification: IdentificationParams | None = None  # galleries to search; None: verification only
    examples: Annotated[int, Field(ge=0, le=100)] = 60  # pairs of images on the contact sheet


@report("audit", needs=("stored_vectors",), version=3)
def audit(manifest: Manifest, features: Features, params: AuditParams, rng: np.random.Generator) -> Report:
    """Compare all held-out images with each other and report FMR and FNMR per group at thresholds fixed on all of them.

    Compared are the originals of the split with an identity and a vector; an image without a vector is a failure to
    acquire (FTA). The score is the cosine of the stored vectors in float64; counts at thresholds are exact.
    Tables: `audit/rates`, `plain`, `curves`, `histogram`, `points`, `cross`, `transfer`, `promise`, `worst_identities`,
    `worst_pairs`, `examples`, `suspects`, `errors`, `identities`, `acquisition`, and `identification` if asked for.
    Documents: `audit/fairness`, `audit/results`.
    Raises InputError where a vector is not finite, and for rates that ask for too many pairs to be kept.
    """
    faces, names, acquisition, notes = _faces(manifest, features["stored_vectors"], params)
    source = FacePairs(faces, names, features.executor) if len(faces) > 1 else None
    made = measure(source, params, rng) if source is not None else None
    if made is None:
        if source is not None:
            notes.append("All images are of one identity: there is no impostor pair to fix a threshold on.")
        made = Measured(nothing(), [], {}, {}, [], pd.DataFrame(), None, [], None)
    else:
        _add_images(made, manifest, faces, names, params)
        if params.identification is not None:
            table = identification(faces, made.cells[0], params.identification, rng)
            made.tables["audit/identification"] = table
            options = {"x": "gallery", "y": "rate", "color": "measure", "dash": "source", "log_x": True}
            made.figures.append(Figure("lines", "audit/identification", "Identification against gallery size", options))
            made.figures.append(Figure("table", "audit/identification", "Identification: rank 1, and TPIR at FPIR", {}))
    made.tables["audit/acquisition"] = acquisition
    made.figures.append(Figure("table", "audit/acquisition",
                               "Failures to acquire (FTA) per group; FAR = FMR x (1 - FTA)", {}))  # fmt: skip
    summary = {"images": int(acquisition["images"].iloc[0]),
               "failures_to_acquire": int(acquisition["failures"].iloc[0]), **made.summary}  # fmt: skip
    return Report(made.tables, tuple(made.figures), summary, (*notes, *made.notes), made.documents)


def _faces(
    manifest: Manifest, vectors: StoredVectors, params: AuditParams
) -> tuple[Faces, list[str], pd.DataFrame, list[str]]:
    """The faces to compare, their identities, the table of failures to acquire, and notes on rows left out."""
    cell = cells(manifest, params.group_by)
    group = cell.codes.astype(np.int64) if params.group_by else np.full(len(manifest), -1, dtype=np.int64)
    names = tuple(map(str, cell.categories)) if params.group_by else ()
    if ALL in names:
        raise InputError(f"a group is called {ALL!r}, the name of the pooled figures", column=params.group_by[0],
                         remedy="Rename that value")  # fmt: skip
    identity = manifest.codes(col.IDENTITY).astype(np.int64)
    rows = np.flatnonzero(manifest.in_split(params.split) & manifest.originals())
    present, strange = acquired(vectors.take(rows))
    if strange is not None:
        raise InputError("the vector is not finite", column="embedding",
                         value=manifest.frame[col.IMAGE_ID][int(rows[strange])],
                         remedy="Recompute it, or give a zero vector where no face was found")  # fmt: skip
    notes = []
    if len(rows) < 2:
        where = f"in the split {params.split!r}" if params.split is not None else "in the manifest"
        notes.append(f"{len(rows)} original images {where}: nothing to compare.")
    nameless, groupless = int((identity[rows] < 0).sum()), int((group[rows] < 0).sum())
    if nameless:
        notes.append(f"{nameless:,} images have no identity: not compared.")
    if groupless and params.group_by:
        notes.append(f"{groupless:,} images have no value of a label asked for: in the pooled figures only.")
    kept = rows[present & (identity[rows] >= 0)]
    known = manifest.frame[col.IDENTITY].cat.categories
    people = known[np.unique(identity[kept])] if len(kept) else []
    faces = Faces.of(vectors.take(kept), identity[kept], group[kept], names, kept)
    return faces, [str(name) for name in people], _acquisition(names, group[rows], present), notes


def _acquisition(names: tuple[str, ...], group: np.ndarray, present: np.ndarray) -> pd.DataFrame:
    rows = []
    for name, mask in ((ALL, np.ones(len(group), dtype=bool)), *((n, group == i) for i, n in enumerate(names))):
        images, failures = int(mask.sum()), int((mask & ~present).sum())
        rows.append((name, images, failures, failures / images if images else np.nan))
    return as_table(rows, _ACQUIRED)


def _add_images(made: Measured, manifest: Manifest, faces: Faces, names: list[str], params: AuditParams) -> None:
    """What needs the images themselves: examples, suspected labels, and how many images stand behind each identity."""
    ids = manifest.frame[col.IMAGE_ID]

    def name(places: Any) -> pd.Series:
        return ids.iloc[faces.image[np.asarray(places, np.int64)]].reset_index(drop=True).astype("str")

    found = made.examples
    made.tables["audit/examples"] = pd.DataFrame(
        {"kind": found["kind"], "group": found["group"], "score": found["score"],
         "image_id_a": name(found["left"]), "image_id_b": name(found["right"])}
    )  # fmt: skip
    group = np.array([*faces.groups, None], dtype=object)
    pairs = faces.identity * (len(faces.groups) + 1) + faces.group
    keys, counts = np.unique(pairs, return_counts=True)
    who, where = np.divmod(keys, len(faces.groups) + 1)
    made.tables["audit/identities"] = pd.DataFrame(
        {"identity": pd.Series([names[code] for code in who], dtype="str"),
         "group": pd.Series(group[where], dtype="str"), "images": counts.astype(np.int64)}
    )  # fmt: skip
    suspected = suspects(faces, made.cells[0], made.genuine, made.shown.threshold, name)
    made.tables["audit/suspects"] = suspected
    if len(suspected):
        made.notes.append(f"{len(suspected):,} labels are suspected, since images match another identity, or none of "
                          "their own: audit/suspects lists them for a person to look at.")  # fmt: skip
    if params.examples and "path" in manifest.frame and len(found):
        made.figures.append(
            Figure("pairs", "audit/examples", "The worst false matches and false non-matches of each group",
                   {"a": "image_id_a", "b": "image_id_b", "say": ["kind", "group", "score"],
                    "order": ["kind", "group", "score"], "limit": params.examples})
        )  # fmt: skip
