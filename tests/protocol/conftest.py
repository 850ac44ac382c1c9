"""Small manifests with known pairs."""

from __future__ import annotations

import pandas as pd
import pytest

from curate.core.manifest import Manifest


def make_faces(counts: list[int], *, groups: int = 2, split: str | None = "holdout") -> Manifest:
    """counts[i] images of identity i, which belongs to group i modulo `groups`."""
    rows = [
        (f"p{i:04d}/{k:03d}.jpg", f"p{i:04d}", "fmx"[i % groups])
        for i, count in enumerate(counts)
        for k in range(count)
    ]
    frame = pd.DataFrame(rows, columns=["image_id", "identity", "gender"], dtype="str")
    if split is not None:
        frame["split"] = split
    return Manifest.from_frame(frame)


@pytest.fixture(scope="session")
def faces():
    return make_faces
