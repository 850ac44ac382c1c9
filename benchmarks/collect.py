"""Reading records against a bare read, embedding against a bare onnxruntime session, and a table of 10 million rows."""

from __future__ import annotations

import argparse
import mmap
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.measure import best_seconds, process_cost, show

_HEADER = struct.Struct("<IIIfQQ")


def _records(path: Path, records: int, seed: int = 0) -> None:
    """Records of the size of 112x112 JPEGs."""
    from curate.images.records import HEADER, MAGIC

    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 250, 1 << 20, dtype=np.uint8).tobytes()
    with open(path, "wb") as handle:
        for key in range(records):
            start = int(rng.integers(0, 900_000))
            body = HEADER.pack(0, float(key // 20), key, 0) + pixels[start : start + int(rng.integers(3000, 12000))]
            handle.write(struct.pack("<II", MAGIC, len(body)) + body + bytes(-len(body) % 4))


def _bare_read(path: Path) -> int:
    total = 0
    with open(path, "rb") as handle:
        while head := handle.read(_HEADER.size):
            _, length, _, _, _, _ = _HEADER.unpack(head)
            image = handle.read((length + 3) // 4 * 4 - 24)
            total += len(image)
    return total


def _walk(path: Path) -> int:
    from curate.images.records import walk

    total = 0
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for _, _, start, end, _ in walk(data):
            total += len(data[start:end])
    return total


def records(count: int = 60_000) -> dict[str, Any]:
    """Records a second, read with their images in order, and the share of the bare rate."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faces.rec"
        _records(path, count)
        _bare_read(path)  # into the page cache for both
        bare, ours = (count / best_seconds(lambda way=way: way(path), 7) for way in (_bare_read, _walk))
    return {"records": count, "bare read and header parse, records/s": bare, "curate, records/s": ours,
            "records: share of the bare rate": ours / bare}  # fmt: skip


def resnet(path: Path, depth: tuple[int, ...] = (2, 2, 2, 2), batch: int = 32) -> None:
    """A residual network of random weights, 112x112 to 512 numbers, as ONNX (He et al. 2016, basic blocks)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def conv(given: str, into: int, out: int, stride: int = 1, size: int = 3, relu: bool = True) -> str:
        name = f"t{len(nodes)}"
        scale = np.sqrt(2 / (into * size * size))
        values = (rng.normal(size=(out, into, size, size)) * scale).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{name}"))
        pad = [size // 2] * 4
        nodes.append(helper.make_node("Conv", [given, f"w{name}"], [name], kernel_shape=[size, size], pads=pad,
                                      strides=[stride, stride]))  # fmt: skip
        if not relu:
            return name
        nodes.append(helper.make_node("Relu", [name], [f"r{name}"]))
        return f"r{name}"

    here, width = conv("x", 3, 64), 64
    for stage, blocks in enumerate(depth):
        out = 64 * 2**stage
        for block in range(blocks):
            stride = 2 if block == 0 else 1
            inner = conv(conv(here, width, out, stride), out, out, relu=False)
            short = conv(here, width, out, stride, size=1, relu=False) if stride == 2 else here
            nodes.append(helper.make_node("Add", [inner, short], [f"a{len(nodes)}"]))
            nodes.append(helper.make_node("Relu", [nodes[-1].output[0]], [f"b{len(nodes)}"]))
            here, width = nodes[-1].output[0], out
    nodes.append(helper.make_node("GlobalAveragePool", [here], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["vector"]))
    graph = helper.make_graph(
        nodes, "resnet", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 112, 112])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, width])], weights,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def embedding(images: int = 256, batch: int = 32) -> dict[str, Any]:
    """Images a second from JPEG files to vectors, and the share of the bare session on the same batches; one thread."""
    from curate.embed import OnnxParams, make_embedder
    from curate.embed.card import ModelCard
    from curate.embed.session import open_session
    from curate.images.facts import ShardTask, facts_of_shard

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "resnet.onnx"
        resnet(model, batch=batch)
        rng = np.random.default_rng(0)
        names = []
        for at in range(images):
            pixels = cv2.GaussianBlur(rng.integers(0, 256, (112, 112, 3), dtype=np.uint8), (0, 0), 2)
            names.append(f"{at:04d}.jpg")
            cv2.imwrite(str(Path(folder) / names[-1]), pixels)
        embedder = make_embedder(OnnxParams(model=model, batch=batch, device="cpu", card=ModelCard(size=112)))
        session = open_session(embedder.path, "cpu")
        faces = np.stack([cv2.imread(str(Path(folder) / name))[..., ::-1] for name in names])
        tensors = [embedder.card.tensor(faces[at : at + batch]) for at in range(0, images, batch)]
        task = ShardTask(folder, tuple(names), ("descriptor",), embedder)
        # One after the other, so that a change of the machine's speed meets both.
        bare, ours = [], []
        for _ in range(3):
            bare.append(best_seconds(lambda: [session.run(None, {"x": tensor}) for tensor in tensors], 1))
            ours.append(best_seconds(lambda: facts_of_shard(task), 1))
    rates = images / min(bare), images / min(ours)
    return {
        "images": images, "batch": batch, "bare onnxruntime session, images/s": rates[0],
        "curate from JPEG files, images/s": rates[1], "embedding: share of the bare rate": rates[1] / rates[0],
    }  # fmt: skip


_TABLE = """
import sys
from pathlib import Path
from curate.collect.table import TableParams, read_table_source
from curate.core.shapes import SerialExecutor
params = TableParams(path=Path(sys.argv[1]), columns={"path": "file", "identity": "person", "gender": "sex"})
found = read_table_source(params, None, SerialExecutor(), Path("."))
found.manifest.write(sys.argv[2])
print(len(found.manifest))
"""


def table(rows: int = 10_000_000) -> dict[str, Any]:
    """A CSV in random order to a written manifest: seconds, and the largest memory of the process."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv

    rng = np.random.default_rng(0)
    identity = rng.integers(0, max(1, rows // 100), rows)
    number = pc.utf8_lpad(pc.cast(pa.array(rng.permutation(rows)), pa.string()), 8, "0")
    person = pc.binary_join_element_wise("n", pc.utf8_lpad(pc.cast(pa.array(identity), pa.string()), 6, "0"), "")
    file = pc.binary_join_element_wise(person, pc.binary_join_element_wise(number, ".jpg", ""), "/")
    sex = pa.array(["f", "m"]).take(pa.array(identity % 2))
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "big.csv"
        pacsv.write_csv(pa.table({"file": file, "person": person, "sex": sex}), given)
        del identity, number, person, file, sex
        cost = process_cost([sys.executable, "-c", _TABLE, str(given), str(Path(folder) / "manifest.parquet")])
    return {
        "rows": rows,
        "table to manifest, seconds": cost.seconds,
        "table to manifest, peak GiB": cost.peak_bytes / 2**30,
    }


def main() -> None:
    """Run from the command line: `python -m benchmarks.collect [--json]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    show("collect", {**records(), **embedding(), **table(given.rows)}, given.json)


if __name__ == "__main__":
    main()
