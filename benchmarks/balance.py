"""The oversampling against the obvious loop, in one run: `python -m benchmarks.balance [--json] [--figures FOLDER]`.

470,000 images, 10,600 identities and 4 labels. The loop takes `numpy.quantile`, `argmin` and a choice for each replica;
both make the same rows for the same seed, and the run fails where they do not. With CURATE_REAL_DATA set, also the
replicas that each target needs on two real label tables, as a ratio to the lower bound, and their curves as SVG.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import show

IMAGES, IDENTITIES, REPLICAS, LOOP_REPLICAS, MANY = 470_000, 10_600, 4_000_000, 300, 50_000_000
TARGETS = (3.0, 2.0, 1.5, 1.2)
ATTRIBUTES = ("Male", "Young", "Eyeglasses", "Pale_Skin")
OTHERS = ("Smiling", "Blond_Hair", "Chubby", "Mustache")


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


def _cpu(function: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """The least CPU time of a few runs, in seconds, and what the last one gave."""
    seconds, result = [], None
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        seconds.append(time.process_time() - start)
    return min(seconds), result


def speed() -> dict[str, float]:
    """Replicas per second of the kernel, of `fit_resample` as a whole and of the loop; CPU time, one thread."""
    from curate import IDROversampler
    from curate.balance import kernel
    from curate.balance.state import make_state

    codes = label_codes()
    uniforms = np.random.Generator(np.random.PCG64(0)).random(REPLICAS)
    out = np.empty(REPLICAS, np.int32), np.empty(REPLICAS, np.uint8), np.empty(REPLICAS)
    kernel.draw(uniforms[:1000], 1.0, *out, *make_state(codes).arrays())  # compiles
    states = iter([make_state(codes).arrays() for _ in range(3)])
    seconds, _ = _cpu(lambda: kernel.draw(uniforms, 1.0, *out, *next(states)))
    kernel_rate = REPLICAS / seconds
    y = pd.DataFrame(codes, columns=["identity", "gender", "ethnicity", "age"])
    sampler = IDROversampler(target=1.0, budget=REPLICAS, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler.fit_resample(None, y.iloc[:1000])
        seconds, _ = _cpu(lambda: sampler.fit_resample(None, y))
    whole_rate = REPLICAS / seconds
    seconds, slow = _cpu(lambda: obvious_loop(codes, LOOP_REPLICAS, np.random.Generator(np.random.PCG64(0))))
    loop_rate = LOOP_REPLICAS / seconds
    if not (np.array_equal(slow, out[0][:LOOP_REPLICAS]) and np.array_equal(sampler.sample_indices_[IMAGES:], out[0])):
        raise SystemExit("the kernel, fit_resample and the loop draw different rows")
    return {
        "kernel_replicas_per_s": kernel_rate,
        "fit_resample_replicas_per_s": whole_rate,
        "loop_replicas_per_s": loop_rate,
        "kernel_over_loop": kernel_rate / loop_rate,
        "fit_resample_over_loop": whole_rate / loop_rate,
    }


def memory() -> dict[str, float]:
    """Peak memory of a process that draws 50 million replicas through `fit_resample`, in GiB."""
    code = (
        "import resource, warnings; warnings.simplefilter('ignore');"
        "import pandas as pd; from benchmarks import balance;"
        "from curate import IDROversampler;"
        "y = pd.DataFrame(balance.label_codes(), columns=list('abcd'));"
        f"IDROversampler(target=1.0, budget={MANY}, random_state=0).fit_resample(None, y);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {"peak_gib_of_50_million_replicas": float(found.stdout)}


def real_tables(folder: Path) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Label codes and names of label tables: two that the weights of `lookahead` were chosen on, then others."""
    from curate.balance.pool import dense_codes

    lfw = pd.read_csv(folder / "lfw-faces-112" / "labels.csv").sort_values("file")
    identity = pd.read_csv(folder / "celeba-meta" / "identity_CelebA.txt", sep=r"\s+")["label"]
    celeba = pd.read_csv(folder / "celeba-meta" / "list_attr_celeba.zip", sep=r"\s+", skiprows=1, compression="zip")
    fair = pd.read_csv(folder / "fairface-3000" / "fairface_label_train_40000_rows.csv")
    utk = pd.DataFrame([path.name.split("_")[:3] for path in sorted((folder / "utkface-subset").rglob("*_*_*_*.jpg"))],
                       columns=["age", "gender", "race"]).astype(int)  # fmt: skip
    vgg = pd.read_csv(folder / "vggface2-meta" / "identity_meta.csv", skipinitialspace=True, engine="python",
                      on_bad_lines="skip")  # fmt: skip
    vgg = vgg.rename(columns=str.strip)
    person = np.repeat(np.arange(len(vgg)), np.maximum(vgg["Sample_Num"].astype(int) // 20, 1))
    tables = {
        "lfw-faces-112": {"identity": lfw["identity"], "gender": lfw["gender_afif4"]},
        "celeba-meta": {"identity": identity, **{name: celeba[name] for name in ATTRIBUTES}},
        "celeba-meta, other attributes": {"identity": identity, **{name: celeba[name] for name in OTHERS}},
        "celeba-meta, attributes alone": {name: celeba[name] for name in OTHERS},
        "fairface labels": {name: fair[name] for name in ("race", "gender", "age")},
        "utkface-subset": {"decade": utk["age"] // 10, "gender": utk["gender"], "race": utk["race"]},
        "vggface2-meta, 1 image of 20": {"identity": person, "gender": vgg["Gender"].to_numpy()[person]},
    }
    return {
        name: (np.stack([dense_codes(pd.Categorical(column).codes) for column in columns.values()], axis=1),
               list(columns))
        for name, columns in tables.items()
    }  # fmt: skip


def needed(codes: np.ndarray, names: list[str], budget: int = 5_000_000) -> pd.DataFrame:
    """Replicas, lower bound and effective sample size for each target and choice; NaN where the budget did not do."""
    from curate.balance.bound import bounds
    from curate.balance.draw import draw_replicas

    rows = []
    for target in TARGETS:
        bound = bounds(codes, names, target).replicas
        for choice in ("uniform", "lookahead"):
            draws = draw_replicas(codes, target, budget, np.random.Generator(np.random.PCG64(0)), choice=choice)
            reached = draws.ended == "target"
            rows.append({"target": target, "choice": choice, "bound": bound,
                         "replicas": len(draws.rows) if reached else np.nan,
                         "ratio": len(draws.rows) / max(bound, 1) if reached else np.nan,
                         "effective_size": draws.effective_size(len(codes)) if reached else np.nan})  # fmt: skip
    return pd.DataFrame(rows)


def draw_figure(codes: np.ndarray, names: list[str], title: str, path: Path, budget: int) -> None:
    """IDR and max/min of each label against replicas added, for both choices, as SVG (needs matplotlib)."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "curate"
    from matplotlib import pyplot

    from curate.balance.draw import draw_replicas

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6), sharex=True, sharey="row", layout="constrained")
    for place, choice in enumerate(("uniform", "lookahead")):
        rng = np.random.Generator(np.random.PCG64(0))
        history = draw_replicas(codes, 1.2, budget, rng, choice=choice).history
        for row, (column, words) in enumerate((("idr", "IDR = D9 / D1"), ("max_min", "max / min"))):
            axis = axes[row, place]
            for label, part in history.groupby("label"):
                axis.plot(part["replicas"], part[column], label=names[int(label)])
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter("{x:g}" if column == "idr" else "")
            axis.set_xscale("symlog", linthresh=100)
            axis.grid(alpha=0.3)
            axis.set_ylabel(words if place == 0 else "")
        axes[0, place].set_title(choice)
        axes[1, place].set_xlabel("replicas added")
    axes[0, 0].legend()
    figure.suptitle(title)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Print the figures, as text or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--memory", action="store_true", help="also draw 50 million replicas and measure the memory")
    parser.add_argument("--figures", type=Path, help="write the curves of the real tables to this folder, as SVG")
    options = parser.parse_args()
    figures: dict[str, Any] = {} if options.figures else dict(speed())
    if options.memory:
        figures |= memory()
    data = os.environ.get("CURATE_REAL_DATA")
    for name, (codes, names) in real_tables(Path(data)).items() if data else ():
        if options.figures and name in ("lfw-faces-112", "celeba-meta"):
            draw_figure(codes, names, f"{name}: {', '.join(names)}", options.figures / f"balance-{name}.svg",
                        50_000 if len(codes) < 50_000 else 1_000_000)  # fmt: skip
        for row in needed(codes, names).itertuples():
            key = f"{name} {row.choice} {row.target:g}"
            figures[f"{key} replicas"] = row.replicas if np.isfinite(row.replicas) else None
            figures[f"{key} over bound"] = row.ratio if np.isfinite(row.ratio) else None
            figures[f"{key} effective size"] = row.effective_size if np.isfinite(row.effective_size) else None
    show("balance", figures, options.json)


if __name__ == "__main__":
    main()
