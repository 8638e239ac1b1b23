"""How one kind of network is run in parts."""

from typing import List, Sequence

from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import FAMILIES

from ..taps import Taps, find_module
from .run import Run

#: Children that compute features.
FEATURES = ('backbone', 'neck')


@FAMILIES.register_module()
class Family:
    """Any network that gives features: they are computed, and nothing after them.

    A subclass knows one kind of network: which of its children run on what. Its
    methods get what they work on; it keeps nothing itself.
    """

    #: Whether all of a teacher may see images of another size: nothing that it is asked
    #: about, such as a box, lies in the student's. Features may always.
    resizes = False
    #: Children that run on the features alone.
    on_feats: Sequence[str] = ()
    #: Children that need something that the student recorded in this step.
    late_parts: Sequence[str] = ()

    @classmethod
    def fits(cls, model: nn.Module) -> bool:
        """Whether a model is of this kind."""
        return True

    def check(self, model: nn.Module, paths: Sequence[str], role: str) -> None:
        """Refuse modules that cannot be run alone.

        Args:
            model (nn.Module): The network.
            paths (Sequence[str]): Dotted names of modules.
            role (str): ``'student'`` or ``'teacher'``, for the message.

        Raises:
            ConfigError: There is no such module, or no part of the network up to it.
        """
        for path in paths:
            find_module(model, path, role)
            if _part(path) not in self.parts:
                there = [part for part in self.parts if hasattr(model, part)]
                raise ConfigError(
                    f'the {role} ({type(model).__name__}) cannot be run up to {path!r} '
                    f'alone; choose a module inside one of {", ".join(there)}.'
                )

    @property
    def parts(self) -> List[str]:
        """Children that can be run."""
        return [*FEATURES, *self.on_feats, *self.late_parts]

    def inputs_of(self, model: nn.Module, path: str) -> List[str]:
        """Name the student's modules whose inputs a teacher's late part needs.

        Args:
            model (nn.Module): The student, which is of this kind.
            path (str): A module of the teacher.

        Raises:
            ConfigError: A student of this kind records no such thing.
        """
        return []

    def early(self, run: Run, paths: Sequence[str]) -> None:
        """Run what needs the images and their samples alone, up to modules."""
        for part in dict.fromkeys(map(_part, paths)):
            if part in self.on_feats:
                getattr(run.model, part)(run.feats)
            else:
                run.feats  # noqa: B018  computed for the taps in it

    def late(self, run: Run, paths: Sequence[str], student: Taps) -> None:
        """Run what needs what the student recorded, up to modules.

        A subclass may take further arguments, which its pairings give: see
        :meth:`.Pairing.asks`.
        """

    def rehearse(self, run: Run, paths: Sequence[str]) -> None:
        """Run a student on a made-up batch, up to modules: the dry run."""
        self.early(run, paths)

    def samples(self, inputs: Tensor) -> list:
        """Make data samples for made-up images ``(N, C, H, W)``."""
        size = tuple(inputs.shape[2:])
        return [
            BaseDataElement(metainfo=dict(sample_idx=index, img_shape=size))
            for index in range(len(inputs))
        ]

    def bound_to_size(self, paths: Sequence[str]) -> List[str]:
        """Return those of some modules for which a teacher has to see the same size."""
        if self.resizes:
            return []
        return [path for path in paths if _part(path) not in FEATURES]

    def needs_late(self, paths: Sequence[str]) -> List[str]:
        """Return those of some modules that lie in late parts."""
        return [path for path in paths if _part(path) in self.late_parts]


def _part(path):
    return path.split('.')[0]
