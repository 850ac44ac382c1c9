"""InsightFace's verification sets: a pickle `.bin` of images and answers, and a CSV beside it that names the images."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pandas as pd

from curate.core.errors import InputError
from curate.core.files import atomic_path, locate, write_text
from curate.core.plain_pickle import load_plain
from curate.core.tables import read_columns
from curate.protocol.formats.base import Format, PairList, pair_table

#: One row for each image of the `.bin`, in its order: image_id, identity, and where known group and fold.
SIDECAR = ".identities.csv"


def _recognises(path: Path) -> bool:
    return path.suffix.lower() == ".bin" and path.is_file()


def _sidecar(path: Path) -> Path:
    return path.with_name(path.stem + SIDECAR)


def read_images(path: Path | str) -> tuple[list[bytes], list[bool]]:
    """The encoded images of a `.bin` and for each two of them whether they are of one identity.

    Raises InputError where the file is not `(images, answers)` with two images for each answer.
    """
    value = load_plain(path)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError("not a verification set", file=path, value=type(value).__name__,
                         allowed="a pickled (images, answers)")  # fmt: skip
    images, answers = value
    answers = list(answers)
    if len(images) != 2 * len(answers):
        raise InputError(f"{len(images):,} images for {len(answers):,} answers", file=path, allowed="two for each")
    for row, image in enumerate(images):
        if not isinstance(image, bytes):
            raise InputError("the image is no bytes", file=path, row=row + 1, value=type(image).__name__)
    for row, answer in enumerate(answers):
        if answer not in (0, 1):
            raise InputError("the answer is neither true nor false", file=path, row=row + 1, value=answer)
    return list(images), [bool(answer) for answer in answers]


def _read(path: Path) -> PairList:
    """Without the CSV beside it images are `NAME.bin#000000`, identities unknown, so that no fold can be checked."""
    images, answers = read_images(path)
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
