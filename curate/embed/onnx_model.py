"""Any face model as an ONNX file."""

from __future__ import annotations

import numpy as np

from curate.core.errors import InputError
from curate.core.files import file_digest
from curate.embed.network import NetworkEmbedder
from curate.embed.params import OnnxParams
from curate.embed.session import onnx_device, open_session


class OnnxEmbedder(NetworkEmbedder):
    """An ONNX model, run by onnxruntime: on CUDA where it is there, else on one thread of the CPU in each worker."""

    kind = "onnx"

    def __init__(self, settings: OnnxParams) -> None:
        self.path = settings.model.expanduser().resolve()
        if not self.path.is_file():
            raise InputError("no such model", file=self.path, remedy="Check embedder.model")
        self.device = onnx_device(settings.device)
        super().__init__(settings, self.path, [file_digest(self.path)])

    def run(self, faces: np.ndarray) -> np.ndarray:
        """See NetworkEmbedder.run. Raises InputError where the model refuses the input that its card describes."""
        session = open_session(self.path, self.device)
        outputs = [output.name for output in session.get_outputs()]
        wanted = self.card.output or outputs[0]
        if wanted not in outputs:
            raise InputError("the model has no such output", file=self.path, value=wanted, allowed=", ".join(outputs))
        try:
            found = session.run([wanted], {session.get_inputs()[0].name: self.card.tensor(faces)})
        except Exception as error:  # onnxruntime has a class of its own for each way in which an input can be wrong
            raise InputError(f"the model refuses its input ({str(error)[:300]})", file=self.path,
                             remedy="Check the card's size and layout, and batch") from error  # fmt: skip
        return np.asarray(found[0], dtype=np.float32)
