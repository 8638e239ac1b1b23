"""What there is to compare of given networks, for those who named something else."""

from contextlib import suppress
from typing import Dict, List, Optional

from torch import nn

from mmkd.errors import ConfigError
from mmkd.registry import PAIRINGS

from .families import family_of
from .families.classifier import Classifier


class UnsuitedError(ConfigError):
    """A network has nothing of what a pairing compares.

    :func:`.build_pairing` adds what there is.
    """


def pairings_of(model: nn.Module) -> Dict[str, object]:
    """Return the pairings of a network with itself, by their names."""
    made = {}
    for name, kind in PAIRINGS.module_dict.items():
        with suppress(ConfigError):
            made[name] = kind(name, model, model)
    return made


def named_for(loss: nn.Module, model: Optional[nn.Module] = None) -> List[str]:
    """Name the pairings that give what a loss takes.

    Args:
        loss (DistillLoss): The loss.
        model (nn.Module, optional): Of which network. Defaults to any.
    """
    PAIRINGS.import_from_location()  # a loss that is used alone has not
    there_are = PAIRINGS.module_dict if model is None else pairings_of(model)
    return [f'on={name!r}' for name, each in there_are.items() if _suits(loss, each)]


def _suits(loss, pairing):
    labels = pairing.has_labels or not {'labels', 'soft_labels'} & set(loss.needs)
    return labels and (loss.ranks is None or pairing.rank in loss.ranks)


def what_there_is(student: nn.Module, teacher: nn.Module) -> str:
    """Say what two networks have in common that can be compared."""
    both = pairings_of(teacher)
    named = [f'on={name!r}' for name in pairings_of(student) if name in both]
    features = f'{_modules(student, teacher)} with a loss of features (FitNetLoss)'
    return f'for these two there are {", ".join([*named, features])}'


def classifies(model: nn.Module) -> bool:
    """Whether a network says one thing of a whole image."""
    return isinstance(family_of(model), Classifier)


def _modules(student, teacher):
    if classifies(student) == classifies(teacher):
        for path in ('neck', 'backbone', *family_of(student).parts):
            if all(getattr(m, path, None) is not None for m in (student, teacher)):
                return f'modules such as on={path!r}'
    return 'modules of each, named in on=dict(student=PATH, teacher=PATH),'
