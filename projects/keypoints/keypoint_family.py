"""How a keypoint network is run in parts."""

from typing import List, Sequence

from torch import Tensor, nn

from mmkd.models.families import Family, Run
from mmkd.registry import FAMILIES

from .keypoint_network import KEYPOINTS, KeypointNetwork, keypoint_sample


@FAMILIES.register_module()
class Keypoints(Family):
    """A body, and maps on what it gives."""

    parts: List[str] = ['body', 'maps']

    @classmethod
    def fits(cls, model: nn.Module) -> bool:
        """Whether it is a keypoint network."""
        return isinstance(model, KeypointNetwork)

    def early(self, run: Run, paths: Sequence[str]) -> None:
        """Run the body, and the maps where they are asked for."""
        body = run.model.body(run.inputs)
        if any(path.startswith('maps') for path in paths):
            run.model.maps(body)

    def samples(self, inputs: Tensor) -> list:
        """Make samples whose keypoints all lie in the first cell."""
        places = inputs.new_zeros(KEYPOINTS, 2)
        return [keypoint_sample(places, places[:, 0] == 0) for _ in inputs]
