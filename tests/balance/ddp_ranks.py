"""One rank of a distributed job: what it sees of two epochs goes to a file. Run by `torchrun`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset

from curate.balance.samplers import BalancedSampler, IdentityBatchSampler


class Rows(Dataset):
    """The numbers of the rows themselves."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> int:
        return index


def main(out: Path, workers: int) -> None:
    dist.init_process_group("gloo")
    identity = np.repeat(np.arange(40), 5)
    cell = (identity >= 30).astype(int)
    balanced = BalancedSampler(groups=cell, seed=3)
    batches = IdentityBatchSampler(identity, cell, identities=4, images=3, batches=5, seed=3)
    seen = {}
    for epoch in range(2):
        balanced.set_epoch(epoch)
        batches.set_epoch(epoch)
        loader = DataLoader(Rows(200), batch_size=10, sampler=balanced, num_workers=workers)
        seen[f"balanced {epoch}"] = [int(row) for batch in loader for row in batch]
        loader = DataLoader(Rows(200), batch_sampler=batches, num_workers=workers)
        seen[f"batches {epoch}"] = [int(row) for batch in loader for row in batch]
    (out / f"{dist.get_rank()}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
