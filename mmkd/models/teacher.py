"""The frozen teacher, outside the module tree."""

import logging
from typing import Callable, Collection, Optional, Union

from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from mmkd.construct import construct
from mmkd.errors import CheckpointError

from .inference_form import InferenceForm
from .load_weights import class_names, load_weights
from .partial_forward import PartialForward
from .renormalise import Renormalise
from .stock_network import build_network


class Teacher:
    """Holds a trained network that only answers.

    It is no ``nn.Module`` and copies to itself, so the network is absent from the
    Distiller's parameters, state dict, optimizer and EMA copy, and
    ``init_weights`` cannot reach it. The network is frozen and in eval mode for
    good: dropout and stochastic depth too.

    Args:
        config (str | dict): Path or ``package::path`` of an OpenMMLab config, or the
            config itself as a dict with ``model``, or that model's dict.
        checkpoint (str, optional): Path or URL of its weights, loaded strictly.
        allow_untrained (bool): Go on without a checkpoint. Defaults to False.
        inference (dict, optional): Arguments of :class:`InferenceForm`, to answer
            faster. Defaults to none of it.

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
    ) -> None:
        if checkpoint is None and not allow_untrained:
            raise CheckpointError(
                'the teacher has no checkpoint: give teacher=dict(checkpoint=PATH or '
                'URL), or allow_untrained=True to distil random weights on purpose.'
            )
        self.config = config if isinstance(config, str) else 'inline config'
        self.checkpoint = checkpoint
        self.classes: Optional[tuple] = None
        self.form = construct('inference', InferenceForm, **(inference or {}))
        self.model = build_network(config, 'the teacher')
        if checkpoint is not None:
            self._load(checkpoint)
        else:
            print_log(
                f'the teacher ({self.config}) is untrained: its weights are random.',
                logger='current',
                level=logging.WARNING,
            )
        self.model = revert_sync_batchnorm(self.model)
        self.model.eval().requires_grad_(False)
        self.renormalise = nn.Identity()

    def match_input_of(self, student: nn.Module) -> None:
        """Renormalise from now on what ``student``'s preprocessor puts out."""
        self.renormalise = Renormalise(
            student.data_preprocessor, self.model.data_preprocessor
        )

    def prepare(self, images: Tensor, tapped: Collection[str]) -> None:
        """Take the inference form, once it is known what is compared.

        Args:
            images (Tensor): Made-up images ``(N, C, H, W)``.
            tapped (Collection[str]): Modules whose outputs are compared.
        """
        self.form.prepare(self.model, images, tapped)

    def forward(self, inputs: Tensor, data_samples=None) -> PartialForward:
        """Begin a pass over a batch that was preprocessed for the student."""
        inputs = self.renormalise(inputs, data_samples)
        return PartialForward(self.model, self.form.lay_out(inputs))

    def apply(self, function: Callable) -> None:
        """Move or cast as ``nn.Module._apply`` does."""
        self.model._apply(function)
        self.renormalise._apply(function)
        device = next(self.model.parameters()).device
        self.model._set_device(device)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self

    def _load(self, path):
        name = f'the teacher ({type(self.model).__name__}, {self.config})'
        self.classes = class_names(load_weights(self.model, path, name))
