"""The frozen teacher, outside the module tree."""

import copy
from typing import Callable, Collection, Optional, Sequence, Union

import torch.nn.functional as F
from torch import Tensor, nn

from mmkd.construct import construct
from mmkd.errors import ConfigError

from .families import Run, family_of
from .frozen_network import check_trained, frozen_network, source_of
from .image_size import pixels
from .inference_form import InferenceForm
from .renormalise import Renormalise
from .stock_network import check_preprocesses


class Teacher:
    """Holds a trained network that only answers.

    It is no ``nn.Module``, so the network is absent from the Distiller's parameters,
    state dict and optimizer, and ``init_weights`` cannot reach it. It is frozen and in
    eval mode for good: dropout and stochastic depth too. A copy, such as an EMA's,
    shares the network and never moves it: a copy that was moved, and then asked, takes
    a network of its own.

    It sees the student's images with its own input statistics. They are padded further
    where its preprocessor pads to multiples (``pad_size_divisor``) that the student's
    does not keep to; of maps, what shows the student's images is compared.

    Args:
        config (str | dict): Path or ``package::path`` of an OpenMMLab config, or the
            config itself as a dict with ``model``, or that model's dict.
        checkpoint (str, optional): Path or URL of its weights, loaded strictly.
        prefix (str, optional): What its weights' names begin with in a file of several
            networks, such as ``'teacher.'``. Defaults to all names.
        allow_untrained (bool): Go on without a checkpoint. Defaults to False.
        inference (dict, optional): Arguments of :class:`InferenceForm`, to answer
            faster. Defaults to none of it.
        input_size (int | Sequence[int], optional): Height and width to which the
            student's batch is resized for it (bilinear, antialiased); of a detector
            features alone can be compared then. Defaults to those of the student's.

    Raises:
        ConfigError: The config cannot be read or built, or the form does not fit.
        CheckpointError: No checkpoint, or one that does not fit.
    """

    def __init__(
        self,
        config: Union[str, dict],
        checkpoint: Optional[str] = None,
        allow_untrained: bool = False,
        inference: Optional[dict] = None,
        input_size: Union[int, Sequence[int], None] = None,
        prefix: Optional[str] = None,
    ) -> None:
        self.config = source_of(config)
        self.checkpoint = checkpoint
        self.prefix = prefix
        whose = 'the teacher'
        check_trained(
            checkpoint, allow_untrained, whose, 'teacher', 'distil', self.config
        )
        inference = {} if inference is None else inference
        if not isinstance(inference, dict):
            raise ConfigError(
                f'inference must be a dict, such as dict(fold_bn=True), got '
                f'{inference!r}.'
            )
        self.form = construct('inference', InferenceForm, **inference)
        self._model, self.classes = frozen_network(
            config, checkpoint, whose, self.config, prefix
        )
        check_preprocesses(self._model, whose)
        self.input_size = (
            None if input_size is None else pixels('input_size', input_size)
        )
        self.renormalise = Renormalise(None, None)
        #: Of a copy that shares the network: an empty tensor, where it was moved to.
        self._moved: Optional[Tensor] = None

    @property
    def model(self) -> nn.Module:
        """The network, on the device and in the precision that this was moved to."""
        if self._moved is not None:
            shared = next(self._model.parameters())
            if (shared.device, shared.dtype) != (self._moved.device, self._moved.dtype):
                self._model = copy.deepcopy(self._model)
                self.renormalise = copy.deepcopy(self.renormalise)
                moved, self._moved = self._moved, None
                self.apply(lambda tensor: _like(tensor, moved))
        return self._model

    def match_input_of(self, student: nn.Module) -> None:
        """Renormalise from now on what ``student``'s preprocessor puts out."""
        self.renormalise = Renormalise(
            student.data_preprocessor, self.model.data_preprocessor
        )
        parameter = next(student.parameters(), None)
        if parameter is not None:
            self.apply(lambda tensor: _like(tensor, parameter))

    def prepare(self, images: Tensor, tapped: Collection[str]) -> None:
        """Take the inference form, once it is known what is compared.

        Args:
            images (Tensor): Made-up images ``(N, C, H, W)``, as the student gets them.
            tapped (Collection[str]): Modules whose outputs are compared.
        """
        self.form.prepare(self.model, self._own_input(images), tapped)

    def begin(self, inputs: Tensor, data_samples: Optional[list] = None) -> Run:
        """Begin a pass over a batch that was preprocessed for the student."""
        model = self.model
        shown = self.input_size or tuple(inputs.shape[2:])
        inputs = self.form.lay_out(self._own_input(inputs, data_samples))
        return Run(model, inputs, data_samples, shown)

    def check_asked(self, paths: Sequence[str]) -> None:
        """Refuse modules that cannot be compared where it sees another size.

        Raises:
            ConfigError: It does, and they speak of places in the student's images.
        """
        if self.input_size is None:
            return
        bound = family_of(self._model).bound_to_size(paths)
        if bound:
            raise ConfigError(
                f'input_size={self.input_size}: {bound[0]!r} of the teacher '
                f"({type(self._model).__name__}) speaks of places in the student's "
                'images, so that the images cannot be resized; compare features of '
                'its backbone or neck, or leave input_size out.'
            )

    def _own_input(self, inputs, data_samples=None):
        inputs = self.renormalise(inputs, data_samples)
        if self.input_size is not None and inputs.shape[2:] != self.input_size:
            size = self.input_size
            inputs = F.interpolate(inputs, size, mode='bilinear', antialias=True)
        return self.renormalise.pad(inputs)

    def apply(self, function: Callable) -> None:
        """Move or cast as ``nn.Module._apply`` does."""
        if self._moved is not None:
            self._moved = function(self._moved)
            return
        self._model._apply(function)
        self.renormalise._apply(function)
        device = next(self._model.parameters()).device
        self._model._set_device(device)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        shares = copy.copy(self)
        if shares._moved is None:
            shares._moved = next(self._model.parameters()).detach().new_empty(0)
        return shares


def _like(tensor, other):
    """Move a tensor, and cast it if it is of floating point."""
    return tensor.to(other.device, other.dtype if tensor.is_floating_point() else None)


def choose_teacher(name: str, wanted: Optional[str], teachers: dict) -> str:
    """Return the name of the teacher that is asked: the only one, or that given.

    Args:
        name (str): Who asks, for the message.
        wanted (str, optional): Its name in a config.
        teachers (dict): The teachers by name.

    Raises:
        ConfigError: There is none of that name, or several and none is named.
    """
    if wanted is None and len(teachers) == 1:
        return next(iter(teachers))
    if not isinstance(wanted, str) or wanted not in teachers:
        raise ConfigError(
            f'{name}: teacher={wanted!r}, but there are {", ".join(teachers)}; name '
            'one of them.'
        )
    return wanted
