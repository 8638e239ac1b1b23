"""FGD: objects and background apart, and the relations of all pixels."""

from numbers import Real
from typing import Tuple

from torch import Tensor, nn

from mmkd.errors import ConfigError
from mmkd.registry import MODELS

from .base import DistillLoss
from .checks import not_all_zero, not_negative, one_of, positive
from .levels import LossInputs, kind_of
from .parts.global_context import GlobalContext
from .parts.object_masks import object_masks

#: What the loss is made of.
PARTS = ('fg', 'bg', 'attention', 'relation')
#: What boxes are divided by, by ``box_scale``: a name of side information.
SCALES = dict(padded='padded_shape', released='image_shape')


def attention_maps(maps: Tensor, tau: float) -> Tuple[Tensor, Tensor]:
    r"""Where, and in which channels, maps are large.

    .. math:: A = H W \, \mathrm{softmax}_{hw}\Big(
        \frac{1}{\tau C} \sum_c |F_c| \Big), \quad
        B = C \, \mathrm{softmax}_c\Big(
        \frac{1}{\tau H W} \sum_{h,w} |F_{hw}| \Big)

    Args:
        maps (Tensor): ``(N, C, H, W)``.
        tau (float): Temperature.

    Returns:
        tuple[Tensor, Tensor]: ``A`` ``(N, H, W)`` and ``B`` ``(N, C)``; 1 on average.
    """
    size = maps.abs()
    pixels = (size.mean(dim=1).flatten(1) / tau).softmax(dim=1)
    channels = (size.mean(dim=(2, 3)) / tau).softmax(dim=1)
    return pixels.unflatten(1, maps.shape[2:]) * pixels.size(1), channels * maps.size(1)


def focal_parts(
    student: Tensor,
    teacher: Tensor,
    foreground: Tensor,
    background: Tensor,
    tau: float = 0.5,
) -> Tuple[Tensor, Tensor, Tensor]:
    r"""Squared errors on objects and beside them, and differences of attention.

    .. math:: \frac{1}{N} \sum_{n,c,h,w} M \, A^T B^T (F^S - F^T)^2, \quad
        \frac{1}{N} \sum_n \big( \| B^S - B^T \|_1 + \| A^S - A^T \|_1 \big)

    with the weights ``M`` of foreground and of background, and the attention of
    :func:`attention_maps`. All are sums over channels: weights belong to one width.

    Args:
        student (Tensor): Maps ``(N, C, H, W)``.
        teacher (Tensor): Maps of the same shape.
        foreground (Tensor): ``(N, H, W)``, see :func:`.object_masks.object_masks`.
        background (Tensor): Likewise.
        tau (float): Temperature. Defaults to 0.5.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Foreground, background and attention, scalars.
    """
    own_pixels, own_channels = attention_maps(student, tau)
    pixels, channels = attention_maps(teacher, tau)
    error = (student - teacher).square() * channels[:, :, None, None]
    error = error.sum(dim=1) * pixels
    of_pixels = (own_pixels - pixels).abs().sum()
    of_channels = (own_channels - channels).abs().sum()
    count = len(student)
    return (
        (foreground * error).sum() / count,
        (background * error).sum() / count,
        (of_pixels + of_channels) / count,
    )


@MODELS.register_module()
class FGDLoss(DistillLoss):
    r"""`Focal and Global Knowledge Distillation for Detectors
    <https://arxiv.org/abs/2111.11837>`_.

    .. math:: \alpha L_{fg} + \beta L_{bg} + \gamma L_{attention}
        + \lambda L_{relation}, \quad
        L_{relation} = \frac{1}{N} \| G_S(F^S) - G_T(F^T) \|_2^2

    with the first three of :func:`focal_parts`. ``G`` are blocks of global context
    (:class:`.global_context.GlobalContext`), one a side and level. Both are trained,
    the teacher's too, and at first leave the maps as they are. The log has all four
    parts, weighted. An adapter is inferred where channels differ. Levels are summed.
    Labels are not used.

    It needs a detector's true boxes, and the size of the batch of images. The authors
    take the maps of an FPN's last convolutions (``neck.fpn_convs.0.conv``, ...: all
    five of one-stage detectors, four of two-stage ones) of 256 channels, and clip
    gradients to a norm of 35:

    ===============  =======  =========  ==========  =========  ===========
    student          ``tau``  ``alpha``  ``beta``    ``gamma``  ``lambda_``
    ===============  =======  =========  ==========  =========  ===========
    RetinaNet, GFL   0.5      1e-3       5e-4        5e-4       5e-6
    FCOS             0.8      1.6e-3     8e-4        8e-4       8e-6
    RepPoints        0.5      1.6e-3     8e-4        8e-4       8e-6
    Faster R-CNN     0.5      5e-5       2.5e-5      5e-5       5e-7
    YOLOX            0.5      2e-3       1e-3        1e-3       1e-5
    ===============  =======  =========  ==========  =========  ===========

    The maps show the padded batch, but the authors' code divides boxes by the size of
    their image without padding, which stretches them: ``box_scale='released'``.

    Args:
        tau (float): Temperature. Defaults to 0.5.
        alpha (float): :math:`\alpha`. Defaults to 1e-3.
        beta (float): :math:`\beta`. Defaults to 5e-4.
        gamma (float): :math:`\gamma`. Defaults to 5e-4, which the authors' configs
            have; their code has 1e-3.
        lambda_ (float): :math:`\lambda`. Defaults to 5e-6.
        box_scale (str): Boxes lie in the ``'padded'`` batch, or in the image, as if it
            filled the map: ``'released'``. Defaults to ``'padded'``.

    Raises:
        ConfigError: A weight is below 0, all are 0, or an argument is out of its range.
    """

    ranks = (4,)
    sum_levels = learns_by_level = True

    def __init__(
        self,
        tau: float = 0.5,
        alpha: float = 1e-3,
        beta: float = 5e-4,
        gamma: float = 5e-4,
        lambda_: float = 5e-6,
        box_scale: str = 'padded',
    ) -> None:
        super().__init__()
        self.tau = positive('FGDLoss', 'tau', tau)
        weights = dict(alpha=alpha, beta=beta, gamma=gamma, lambda_=lambda_)
        for name, weight in weights.items():
            not_negative('FGDLoss', name, weight)
        not_all_zero('FGDLoss', **weights)
        self.weights = dict(
            zip(('fg', 'bg', 'attention', 'relation'), weights.values())
        )
        self.box_scale = one_of('FGDLoss', 'box_scale', box_scale, tuple(SCALES))
        self.needs = ('boxes', SCALES[box_scale])
        self.student_context = nn.ModuleList()
        self.teacher_context = nn.ModuleList()

    def fit(self, inputs: LossInputs) -> None:
        """Make the context blocks."""
        super().fit(inputs)
        channels = [shape[1] for shape in inputs.teacher]
        self.student_context, self.teacher_context = (
            nn.ModuleList(map(GlobalContext, channels)) for _ in range(2)
        )

    def compare_levels(self, student, teacher, targets, boxes, **sizes) -> Tensor:
        """Give each level its context blocks, the boxes and the sizes of images.

        Args:
            student (Sequence[Tensor]): Maps ``(N, C, H, W)``, one a level.
            teacher (Sequence[Tensor]): Maps of the same shapes.
            targets (Sequence): Nothing.
            boxes (Sequence[Tensor]): True boxes ``(G, 4)`` of each image.
            **sizes (Sequence[tuple[int, int]]): Height and width of each image, by the
                name in :attr:`needs`.

        Raises:
            ConfigError: Boxes or sizes are none, or not one for each image.
        """
        (sizes,) = sizes.values()
        _check_images(self.needs, boxes, sizes, len(student[0]))
        beside = [
            (boxes, sizes, *contexts)
            for contexts in zip(self.student_context, self.teacher_context)
        ]
        return super().compare_levels(student, teacher, beside)

    def compare(self, student: Tensor, teacher: Tensor, beside: tuple) -> dict:
        """Return the weighted parts; what a level has comes in the place of labels."""
        boxes, sizes, of_student, of_teacher = beside
        masks = object_masks(boxes, sizes, student.shape[2:])
        masks = (mask.to(student.dtype) for mask in masks)
        focal = focal_parts(student, teacher, *masks, self.tau)
        relation = (of_student(student) - of_teacher(teacher)).square().sum()
        values = zip(PARTS, (*focal, relation / len(student)))
        return {name: self.weights[name] * value for name, value in values}


def _check_images(needs, boxes, sizes, count):
    if (
        not _are_lists(boxes, sizes, count=count)
        or any(not isinstance(own, Tensor) or own.shape[1:] != (4,) for own in boxes)
        or not all(_are_lists(size, count=2) and _are_lengths(*size) for size in sizes)
    ):
        raise ConfigError(
            f'FGDLoss: {needs[0]} must be a tensor (G, 4), and {needs[1]} height and '
            f'width, for each of {count} images, got {kind_of(boxes)}, and {sizes!r}; '
            'compare modules that put out one map an image.'
        )


def _are_lists(*values, count):
    return all(isinstance(v, (list, tuple)) and len(v) == count for v in values)


def _are_lengths(*values):
    return all(isinstance(value, Real) and value > 0 for value in values)
