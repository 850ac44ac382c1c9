from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curate.clean.noise.filter_impact import FilterImpactParams, filter_impact
from curate.core.decisions import Decisions
from curate.core.errors import CurateError
from curate.core.manifest import Manifest
from curate.core.shapes import Features

RNG = np.random.default_rng(0)


def source(n=400, each=4):
    ids = [f"{row:04d}" for row in range(n)]
    names = pd.array([f"p{row // each}" for row in range(n)], "str")
    frame = pd.DataFrame({"image_id": pd.array(ids, "str"), "identity": names,
                          "gender": np.where(np.arange(n) < n // 2, "f", "m")})  # fmt: skip
    frame.loc[0, "gender"] = None
    return Manifest.from_frame(frame, levels={"gender": "image"})


def measure(manifest, *decisions, **params):
    frame = Decisions.concat(decisions).frame
    given = Features({"decisions": frame, "source": manifest})
    return filter_impact(manifest, given, FilterImpactParams(**params), RNG)


def dropped(rows, step="a", order=1):
    return Decisions.of([f"{row:04d}" for row in rows], "drop", "x").stamped(step, order)


def test_rates_by_hand():
    kept = Decisions.of(["0011"], "keep", "mine").stamped("a", 1, "human")
    first = dropped([*range(21), *range(200, 205)])
    second = dropped([*range(10, 31)], "b", 2)  # ten of them have gone already, or were kept
    table = measure(source(), first, second, kept).tables["filter_impact"]
    row = {(r.step, r.group): r for r in table.itertuples()}
    assert (row["01 a", "f"].images, row["01 a", "f"].removed) == (199, 19)  # 0000 has no label, 0011 was kept
    assert (row["01 a", "m"].images, row["01 a", "m"].removed) == (200, 5)
    assert (row["02 b", "f"].images, row["02 b", "f"].removed) == (180, 11)
    assert (row["all", "f"].images, row["all", "f"].removed) == (199, 30)
    assert row["all", "f"].rate == pytest.approx(30 / 199)
    assert all(r.low <= r.rate <= r.high for r in row.values())


def test_images_that_go_as_whole_identities_are_fewer_independent_ones():
    scattered = measure(source(), dropped(range(1, 200, 4))).tables["filter_impact"]
    together = measure(source(), dropped(range(4, 54))).tables["filter_impact"]
    width = [t["high"][0] - t["low"][0] for t in (scattered, together)]
    assert scattered["removed"][0] == together["removed"][0] == 50
    assert width[1] > 1.5 * width[0]


def test_the_gate_refuses_what_is_beyond_chance_only():
    uneven = dropped(range(1, 200, 2))
    with pytest.raises(CurateError, match=r"01 a removed 50\.3% of the images of f and 0\.0% of those of m"):
        measure(source(), uneven, max_difference=0.2)
    assert len(measure(source(), uneven).tables["filter_impact"])
    measure(source(), uneven, max_difference=0.6)
    measure(source(), dropped([*range(1, 8), *range(200, 204)]), max_difference=0.01)  # 3.5% and 2%: chance
    measure(source(), uneven, max_difference=0.2, min_images=300)  # groups too small to judge


def test_the_gate_rarely_refuses_equal_groups():
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(200):
        rows = np.flatnonzero(rng.random(400) < 0.15)
        try:
            measure(source(each=1), dropped(rows), max_difference=0.001)
        except CurateError:
            refused += 1
    assert refused / 200 < 0.08


def test_nothing_removed():
    found = measure(source())
    assert not len(found.tables["filter_impact"])
    assert not found.figures
