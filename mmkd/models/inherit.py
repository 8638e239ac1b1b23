"""Modules of a student that start from a teacher's."""

from typing import Dict, List, Sequence, Tuple, Union

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.errors import ConfigError, about

from .taps import find_module
from .teacher import Teacher, choose_teacher

#: How many tensors that do not agree are named in the log.
MOST = 4


class Inheritance:
    """What a student takes over from a teacher when it starts.

    Tensor by tensor, where a student's and a teacher's agree in name and shape. They
    are kept as the teacher's checkpoint has them, whatever its inference form makes
    of them. A log line says how many agree, and which do not.

    Args:
        spec (str | Sequence[str] | dict): Names of modules that both networks have,
            such as ``['neck', 'bbox_head']``, or ``dict(teacher=NAME,
            modules=[...])``.
        student (nn.Module): The student.
        teachers (dict[str, Teacher]): The teachers by name, not yet prepared.

    Raises:
        ConfigError: It is no such list, a module is missing or is of another kind in
            the teacher, or nothing in it agrees.
    """

    def __init__(
        self,
        spec: Union[str, Sequence[str], dict],
        student: nn.Module,
        teachers: Dict[str, Teacher],
    ) -> None:
        modules, wanted = _parsed(spec)
        name = choose_teacher('inherit', wanted, teachers)
        teacher = teachers[name].model
        self._tensors: Dict[str, Tensor] = {}
        differing: List[str] = []
        for path in modules:
            agreeing, others = _compare(path, student, teacher)
            self._tensors.update(agreeing)
            differing += others
        start = f"{' and '.join(modules)} of the student start from the teacher's"
        more = f' and {len(differing) - MOST} more' if len(differing) > MOST else ''
        rest = '; not ' + ', '.join(differing[:MOST]) + more if differing else ''
        count = f'{len(self._tensors)} of {len(self._tensors) + len(differing)}'
        print_log(f'{start} {name!r}: {count} tensors{rest}.', logger='current')

    @torch.no_grad()
    def apply(self, student: nn.Module) -> None:
        """Give the student the tensors that agree."""
        state = student.state_dict()
        for name, tensor in self._tensors.items():
            state[name].copy_(tensor)

    def __deepcopy__(self, memo: dict) -> 'Inheritance':
        return self  # a copy of the student starts from the same


def _parsed(spec) -> Tuple[List[str], object]:
    """Return the names of modules, and that of the teacher or None."""
    given = dict(spec) if isinstance(spec, dict) else dict(modules=spec)
    modules, teacher = given.pop('modules', None), given.pop('teacher', None)
    modules = [modules] if isinstance(modules, str) else modules
    listed = isinstance(modules, (list, tuple)) and modules
    if given or not listed or not all(isinstance(path, str) for path in modules):
        raise ConfigError(
            "inherit must be a list of modules, such as ['neck', 'bbox_head'], or "
            f'dict(teacher=NAME, modules=[...]), got {spec!r}.'
        )
    return list(dict.fromkeys(modules)), teacher


def _compare(path, student, teacher) -> Tuple[Dict[str, Tensor], List[str]]:
    """Return what agrees in a module by the student's names, and what does not."""
    with about('inherit'):
        own = find_module(student, path, 'student')
        other = find_module(teacher, path, 'teacher')
    kinds = _other_kinds(own, other)
    if '' in kinds:
        raise ConfigError(
            f"inherit: the student's {path} is a {type(own).__name__} and the "
            f"teacher's a {type(other).__name__}; name modules that are of one kind, "
            'or leave it out.'
        )
    held, agreeing, differing = other.state_dict(), {}, []
    for name, tensor in own.state_dict().items():
        if not isinstance(tensor, Tensor) or name.endswith('num_batches_tracked'):
            continue  # what a module keeps beside its weights
        kind = any(name.startswith(f'{kind}.') for kind in kinds)
        if kind or not isinstance(held.get(name), Tensor):
            where = 'in another kind of module' if kind else 'not in the teacher'
            differing.append(f'{path}.{name} ({where})')
        elif held[name].shape != tensor.shape:
            shapes = ('x'.join(map(str, each.shape)) for each in (tensor, held[name]))
            differing.append(f'{path}.{name} ({" and ".join(shapes)})')
        else:
            agreeing[f'{path}.{name}'] = held[name]
    if not agreeing:
        raise ConfigError(
            f"inherit: of the student's {path} ({type(own).__name__}) no tensor agrees "
            f"with the teacher's in name and shape: {', '.join(differing[:MOST])}; "
            'leave it out, or make them as wide.'
        )
    return agreeing, differing


def _other_kinds(own: nn.Module, other: nn.Module) -> List[str]:
    """Name the modules in ``own``, '' for itself, that are of another kind there.

    Layers alone, such as batch norms, are what their tensors say.
    """
    others = dict(other.named_modules())
    return [
        path
        for path, module in own.named_modules()
        if next(module.children(), None) is not None
        and type(others.get(path)) is not type(module)
    ]
