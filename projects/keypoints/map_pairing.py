"""What two keypoint networks say about the same keypoints."""

from typing import List, Sequence

from torch import Tensor, nn

from mmkd.models.pairings import Aligned, Pairing
from mmkd.models.taps import Taps
from mmkd.registry import PAIRINGS

from .keypoint_network import cells_of


@PAIRINGS.register_module(name='keypoints.maps')
class MapPairing(Pairing):
    """A row ``(H * W,)`` of logits for each keypoint of each image.

    The label is the keypoint's cell; a keypoint that cannot be seen weighs nothing, and
    the sum over rows is divided by the number of those that can.

    Args:
        name (str): ``'keypoints.maps'``.
        student (nn.Module): A keypoint network.
        teacher (nn.Module): Another.
    """

    rank = 2
    has_labels = of_classes = many_rows = weighs_rows = True

    def __init__(self, name: str, student: nn.Module, teacher: nn.Module) -> None:
        super().__init__(name, student, teacher, ['maps'], ['maps'])

    def tensors(self, taps: Taps, role: str) -> List[Tensor]:
        """Return the rows ``(N * K, H * W)``."""
        return [maps.flatten(2).flatten(0, 1) for maps in super().tensors(taps, role)]

    def align(self, student: Taps, teacher: Taps, data_samples: Sequence) -> Aligned:
        """Return the rows, cells and weights of all keypoints."""
        (maps,) = student['maps'].outputs()
        cells, visible = cells_of(data_samples, maps.size(3))
        return Aligned(
            self.tensors(student, 'student'),
            self.tensors(teacher, 'teacher'),
            [cells],
            [visible],
            visible.sum().clamp(min=1),
        )
