"""The oversampling kernel against the obvious loop, in one run: `python -m benchmarks.balance [--json]`.

470,000 images, 10,600 identities and 4 labels. The loop takes `numpy.quantile`, `argmin` and a choice for each replica;
both make the same rows for the same seed, and the run fails where they do not.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

IMAGES, IDENTITIES, REPLICAS, LOOP_REPLICAS = 470_000, 10_600, 4_000_000, 300


def label_codes(seed: int = 0) -> np.ndarray:
    """Codes `(470000, 4)`: the identity and three labels of 2, 4 and 9 categories that belong to it; all skewed."""
    from curate.balance.pool import dense_codes

    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0, 1, IDENTITIES)
    identity = np.concatenate(
        [np.arange(IDENTITIES), rng.choice(IDENTITIES, IMAGES - IDENTITIES, p=weight / weight.sum())]
    )
    columns = [identity]
    for size in (2, 4, 9):
        share = np.arange(1, size + 1) ** -1.5
        columns.append(rng.choice(size, IDENTITIES, p=share / share.sum())[identity])
    return np.stack([dense_codes(column) for column in columns], axis=1)


def obvious_loop(codes: np.ndarray, replicas: int, rng: np.random.Generator) -> np.ndarray:
    """The rows that the definition draws, written as it reads; members of each category are listed beforehand."""
    counts = [np.bincount(column) for column in codes.T]
    members = [np.split(np.argsort(column, kind="stable"), np.cumsum(count)[:-1]) for column, count in
               zip(codes.T, counts, strict=True)]  # fmt: skip
    rows = np.empty(replicas, dtype=np.int64)
    for number in range(replicas):
        idr = [np.quantile(count, 0.9) / np.quantile(count, 0.1) for count in counts]
        worst = int(np.argmax(idr))
        here = members[worst][int(np.argmin(counts[worst]))]
        rows[number] = row = here[int(rng.random() * len(here))]
        for label, code in enumerate(codes[row]):
            counts[label][code] += 1
    return rows


def measure() -> dict[str, float]:
    """Replicas per second of both, and their ratio; CPU time of this process, one thread."""
    from curate.balance.draw import draw_replicas

    codes = label_codes()
    generator = lambda: np.random.Generator(np.random.PCG64(0))  # noqa: E731
    draw_replicas(codes, 1.0, 1000, generator())  # compiles
    start = time.process_time()
    fast = draw_replicas(codes, 1.0, REPLICAS, generator())
    kernel_rate = len(fast.rows) / (time.process_time() - start)
    start = time.process_time()
    slow = obvious_loop(codes, LOOP_REPLICAS, generator())
    loop_rate = LOOP_REPLICAS / (time.process_time() - start)
    if not np.array_equal(slow, fast.rows[:LOOP_REPLICAS]):
        raise SystemExit("the kernel and the loop draw different rows")
    return {"kernel_replicas_per_s": kernel_rate, "loop_replicas_per_s": loop_rate, "ratio": kernel_rate / loop_rate}


def main() -> None:
    """Print the figures, as text or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    figures = measure()
    if parser.parse_args().json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value:,.0f}")


if __name__ == "__main__":
    main()
