"""Any face model of torch: a TorchScript file, or a function that returns a module."""

from __future__ import annotations

import hashlib
import importlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.errors import CurateError, InputError, MissingExtra
from curate.core.files import file_digest
from curate.embed.network import NetworkEmbedder
from curate.embed.params import TorchParams


class TorchEmbedder(NetworkEmbedder):
    """A module of torch: on CUDA where it is there, else on one thread of the CPU in each worker.

    A TorchScript file is a program, as an import path is: name only what you trust.
    """

    kind = "torch"

    def __init__(self, settings: TorchParams) -> None:
        torch = _torch()
        there = torch.cuda.is_available()
        if settings.device == "cuda" and not there:
            raise CurateError("device: cuda, but this torch sees none")
        self.device = "cuda" if there and settings.device != "cpu" else "cpu"
        self.precision = settings.precision
        self.model = settings.model
        if not _is_import(self.model):
            path = Path(self.model).expanduser().resolve()
            if not path.is_file():
                raise InputError("no such model", file=path, allowed="a TorchScript file, or package.module:function",
                                 remedy="Check embedder.model")  # fmt: skip
            self.model = str(path)
        super().__init__(
            settings,
            Path(self.model.replace(":", "_") if _is_import(self.model) else self.model),
            [self._weights(), settings.precision],
        )

    def _weights(self) -> str:
        """What changes with the model: its file, or each weight of an imported one."""
        if not _is_import(self.model):
            return file_digest(self.model)
        digest = hashlib.sha256(self.model.encode())
        for name, value in sorted(_module(self.model, self.device, "float32").state_dict().items()):
            digest.update(name.encode() + value.detach().cpu().double().numpy().tobytes())
        return digest.hexdigest()

    def run(self, faces: np.ndarray) -> np.ndarray:
        """See NetworkEmbedder.run. Raises InputError where the model refuses the input that its card describes."""
        torch = _torch()
        module = _module(self.model, self.device, self.precision)
        given = torch.from_numpy(self.card.tensor(faces)).to(self.device, getattr(torch, self.precision))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                found = module(given)
        except (RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"the model refuses its input ({str(error)[:300]})", file=self.model,
                             remedy="Check the card's size and layout, and batch") from error  # fmt: skip
        finally:
            torch.set_num_threads(threads)
        if isinstance(found, tuple | list):
            found = found[0]
        return found.float().cpu().numpy()


def _is_import(model: str) -> bool:
    return ":" in model and not Path(model).exists()


@cache
def _module(model: str, device: str, precision: str) -> Any:
    """The module, ready to be called, once in each process."""
    torch = _torch()
    if _is_import(model):
        place, _, function = model.partition(":")
        try:
            made = getattr(importlib.import_module(place), function)()
        except (ImportError, AttributeError) as error:
            raise InputError(f"the model can't be imported ({error})", value=model,
                             allowed="package.module:function that returns a module") from error  # fmt: skip
    else:
        try:
            made = torch.jit.load(model, map_location=device)
        except RuntimeError as error:
            raise InputError(f"no TorchScript file ({str(error)[:200]})", file=model) from error
    return made.to(device, getattr(torch, precision)).eval()


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "torch", "A torch model") from None
    return torch
