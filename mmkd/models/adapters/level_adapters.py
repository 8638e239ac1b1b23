"""The adapters of all levels of a comparison."""

from typing import Dict

from torch import Tensor, nn


class LevelAdapters(nn.ModuleList):
    """Maps the student's tensors to the teacher's shapes, each once a step.

    Whoever needs a level before the others, see :meth:`.DistillLoss.around`, gets what
    the comparison will get: batch norms in adapters see each batch once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._adapted: Dict[int, Tensor] = {}

    def adapt(self, level: int, tensor: Tensor) -> Tensor:
        """Return a level's tensor in the teacher's shape."""
        if level not in self._adapted:
            self._adapted[level] = self[level](tensor)
        return self._adapted[level]

    def forget(self) -> None:
        """Begin another step."""
        self._adapted.clear()
