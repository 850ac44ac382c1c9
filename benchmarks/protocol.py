"""Six groups of a million pairs against plain random integers, in one run: `python -m benchmarks.protocol [--json]`.

The manifest has 3.3 million rows shaped like VGGFace2: identities, image counts and gender of `identity_meta.csv` where
CURATE_REAL_DATA is set, else 9,131 identities of the same mean and spread; three ethnicities are drawn at 84, 10 and 6%
from a fixed seed. Timed: the draw, the certificate with its proof of uniqueness, and the Parquet file. Against it: 12
million random integers drawn and written as Parquet the same way. With `--growth`, the same number of pairs from 10^5
to 10^7 images. Each part runs in a process of its own, whose peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.measure import show

PAIRS, GROUPS = 1_000_000, 6
SHARES = {"Caucasian": 0.84, "Asian": 0.10, "Black": 0.06}


def identities(seed: int = 0) -> pd.DataFrame:
    """One row for each identity: identity, images, gender, ethnicity."""
    rng = np.random.default_rng(seed)
    data = os.environ.get("CURATE_REAL_DATA")
    path = Path(data) / "vggface2-meta" / "identity_meta.csv" if data else None
    if path is not None and path.is_file():
        table = pd.read_csv(path, skipinitialspace=True, usecols=["Class_ID", "Sample_Num", "Gender"])
        table.columns = ["identity", "images", "gender"]
    else:
        count = np.clip(rng.normal(362, 100, 9131), 80, 843).astype(int)
        names = [f"n{number:06d}" for number in range(1, 9132)]
        gender = rng.choice(["f", "m"], 9131, p=[0.38, 0.62])
        table = pd.DataFrame({"identity": names, "images": count, "gender": gender})
    table["ethnicity"] = rng.choice(list(SHARES), len(table), p=list(SHARES.values()))
    return table


def manifest_of(people: pd.DataFrame) -> Any:
    """A manifest with a row for each image: `n000001/0001_01.jpg`."""
    from curate.core.manifest import Manifest

    count = people["images"].to_numpy()
    who = np.repeat(np.arange(len(people)), count)
    number = np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count)
    names = pa.array(people["identity"], pa.string()).take(pa.array(who))
    digits = pc.utf8_lpad(pa.array(number + 1).cast(pa.string()), 4, "0")
    ids = pc.binary_join_element_wise(names, "/", digits, "_01.jpg", "")
    frame = pd.DataFrame({"image_id": pd.array(ids, dtype="str")})
    for name in ("identity", "gender", "ethnicity"):
        values, codes = np.unique(people[name].to_numpy(str), return_inverse=True)
        frame[name] = pd.Categorical.from_codes(codes[who], pd.Index(values, dtype="str"))
    return Manifest.from_frame(frame)


def of_size(images: int) -> pd.DataFrame:
    """About so many images of identities like those, evenly in the six groups."""
    base = identities()
    whole = int(base["images"].sum())
    copies = [base.assign(identity=base["identity"] + f"x{copy}") for copy in range(max(1, round(images / whole)))]
    people = pd.concat(copies, ignore_index=True).iloc[:: max(1, whole // images)].reset_index(drop=True)
    people["gender"] = np.array(["f", "m"])[np.arange(len(people)) % 2]
    return people.assign(ethnicity=np.array(list(SHARES))[np.arange(len(people)) // 2 % 3])


def growth(images: int) -> dict[str, float]:
    """Seconds of the parts of a draw of 6 x 100,000 pairs: what reads every image, and what draws."""
    from curate.core.shapes import Features
    from curate.protocol.feasibility import feasibility
    from curate.protocol.pairs import draw
    from curate.protocol.params import ProtocolParams
    from curate.protocol.population import population

    manifest = manifest_of(of_size(images))
    params = ProtocolParams(group_by=("gender", "ethnicity"), pairs_per_group=100_000, split=None)
    before, start = _peak_gib(), time.perf_counter()
    rng = np.random.default_rng(0)
    people = population(manifest, params.group_by, params.folds, None, rng)
    plan = feasibility(people, params)
    middle = time.perf_counter()
    pairs = draw(manifest, people, plan, Features(), params, rng)
    end = time.perf_counter()
    assert len(pairs) == 600_000
    return {"images": len(manifest), "possible_pairs": float(plan.table["held"].sum()), "seconds_to_prepare":
            middle - start, "seconds_to_draw": end - middle, "gib_more": _peak_gib() - before}  # fmt: skip


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def protocol(people: pd.DataFrame, pairs: int, folder: Path) -> dict[str, float]:
    """Seconds of the protocol, written, and what it holds. The rows of the manifest are there before."""
    from curate.core.files import write_json, write_table
    from curate.core.shapes import Features, step_rng
    from curate.protocol.kernels import add_hash, text_hashes
    from curate.protocol.pairs import verification_protocol
    from curate.protocol.params import ProtocolParams

    manifest = manifest_of(people)
    text_hashes(np.zeros(1, np.int64), np.zeros(0, np.uint8))  # compiles, or reads what is compiled
    add_hash(np.zeros(1, np.uint64), np.zeros(1, np.uint64))
    params = ProtocolParams(group_by=("gender", "ethnicity"), pairs_per_group=pairs, split=None)
    cpu, start = time.process_time(), time.perf_counter()
    made = verification_protocol(manifest, Features(), params, step_rng(0, "verification_protocol"))
    table, document = made.tables["protocol/pairs"], made.documents["protocol/certificate"]
    write_table(folder / "pairs.parquet", table)
    write_json(folder / "certificate.json", document)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    if not document["valid"] or len(table) != GROUPS * pairs:
        raise SystemExit("the protocol is not what was asked for")
    return {"images": len(manifest), "pairs": len(table), "seconds": seconds, "cpu_seconds": cpu,
            "megabytes": (folder / "pairs.parquet").stat().st_size / 1e6}  # fmt: skip


def integers(count: int, folder: Path) -> dict[str, float]:
    """Seconds to draw and write plain random integers as two columns, as the pairs' ids are."""
    from curate.core.files import write_table

    rng = np.random.default_rng(0)
    cpu, start = time.process_time(), time.perf_counter()
    columns = {name: rng.integers(0, 3_300_000, count // 2) for name in ("a", "b")}
    write_table(folder / "integers.parquet", pd.DataFrame(columns))
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu,
            "megabytes": (folder / "integers.parquet").stat().st_size / 1e6}  # fmt: skip


def _part(name: str, size: int) -> dict[str, float]:
    """One part, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        if name == "integers":
            found = integers(size, Path(folder))
        elif name == "vggface2":
            found = protocol(identities(), size, Path(folder))
        else:
            found = growth(size)
    return {**found, "peak_gib": _peak_gib()}


def _apart(name: str, size: int, repeats: int = 1) -> dict[str, float]:
    """The fastest of a few processes."""
    command = [sys.executable, "-m", "benchmarks.protocol", "--part", name, "--size", str(size)]
    runs = [json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(repeats)]
    return min(runs, key=lambda run: run.get("seconds", 0.0))


def main() -> None:
    """Print the figures, as text or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--growth", action="store_true", help="also 600,000 pairs from 10^5 to 10^7 images")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(_part(options.part, options.size)))
        return
    plain = _apart("integers", 2 * PAIRS * GROUPS, 3)
    ours = _apart("vggface2", PAIRS, 2)
    figures = {f"protocol_{key}": value for key, value in ours.items()}
    figures |= {f"integers_{key}": plain[key] for key in ("seconds", "cpu_seconds", "megabytes")}
    figures |= {"protocol_over_integers": ours["seconds"] / plain["seconds"],
                "protocol_over_integers_cpu": ours["cpu_seconds"] / plain["cpu_seconds"]}  # fmt: skip
    if options.growth:
        for images in (100_000, 1_000_000, 10_000_000):
            found = _apart("growth", images)
            figures |= {f"growth_{images}_{key}": value for key, value in found.items()}
    show("protocol", figures, options.json)


if __name__ == "__main__":
    main()
