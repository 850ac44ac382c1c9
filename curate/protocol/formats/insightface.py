"""InsightFace's verification sets: a pickle `.bin` of images and answers, and a CSV beside it that names the images."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pandas as pd

from curate.core.errors import InputError
from curate.core.files import atomic_path, locate, write_text
from curate.core.tables import read_columns
from curate.images.pickled import read_bin
from curate.protocol.formats.base import Format, PairList, pair_table

#: One row for each image of the `.bin`, in its order: image_id, identity, and where known group and fold.
SIDECAR = ".identities.csv"


def _recognises(path: Path) -> bool:
    return path.suffix.lower() == ".bin" and path.is_file()


def _sidecar(path: Path) -> Path:
    return path.with_name(path.stem + SIDECAR)


def _read(path: Path) -> PairList:
    """Without the CSV beside it images are `NAME.bin#000000`, identities unknown, so that no fold can be checked."""
    images, answers = read_bin(path)
    beside = _sidecar(path)
    if not beside.is_file():
        names = pd.DataFrame({"image_id": [f"{path.name}#{row:06d}" for row in range(len(images))], "identity": None})
    else:
        names = read_columns(beside)[0].to_pandas()
        for name in ("image_id", "identity"):
            if name not in names:
                raise InputError(f"the column {name!r} is missing", file=beside, value=list(names.columns))
        if len(names) != len(images):
            raise InputError(f"{len(names):,} rows for {len(images):,} images of {path.name}", file=beside)
    sides = [names.iloc[start::2].reset_index(drop=True) for start in (0, 1)]
    columns = {f"{name}_{side}": part[name] for side, part in zip("ab", sides, strict=True)
               for name in ("image_id", "identity", "group") if name in part}  # fmt: skip
    if "fold" in names:
        columns["fold"] = pd.to_numeric(sides[0]["fold"])
    return PairList(pair_table({**columns, "genuine": answers}))


def _write(pairs: PairList, path: Path, root: Path | None) -> None:
    """Raises InputError without the folder of the images, or where one is missing."""
    if root is None:
        raise InputError("a .bin holds the images themselves", file=path, remedy="Name their folder: --root FOLDER")
    table = pairs.table
    both = pd.concat(
        [
            pd.DataFrame({name: table[f"{name}_{side}"] for name in ("image_id", "identity", "group")}
                         | {"fold": table["fold"]})
            for side in "ab"
        ]
    ).sort_index(kind="stable")  # fmt: skip
    read: dict[str, bytes] = {}
    for image in both["image_id"]:
        if image not in read:
            try:
                read[image] = locate(root, image).read_bytes()
            except OSError as error:
                raise InputError("the image is not there", file=root, value=image) from error
    buffer = io.BytesIO()
    pickle.dump(([read[image] for image in both["image_id"]], table["genuine"].tolist()), buffer, protocol=4)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    write_text(_sidecar(path), both.to_csv(index=False, lineterminator="\n"))


FORMAT = Format("insightface", "a .bin, with NAME.identities.csv beside it", (".bin",), _recognises, _read, _write)
