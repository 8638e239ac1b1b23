"""Two-stage detectors: which stages of two RoI heads answer on the same RoIs."""

from typing import Dict, List, Optional, Sequence, Tuple, Union

from torch import Tensor, nn

from mmkd.errors import ConfigError

from ..available import UnsuitedError
from ..families.roi_calls import head_call, stage_paths
from ..taps import Call, Taps
from .base import Pairing

#: Stages of both, or of each: a list of numbers, counted from 0.
Stages = Union[Sequence[int], Dict[str, Sequence[int]], None]


class StagesPairing(Pairing):
    """Compares what two RoI heads put out on the student's RoIs, stage by stage.

    Args:
        name (str): What ``on=`` named.
        student (nn.Module): A two-stage detector.
        teacher (nn.Module): Another.
        part (str): The heads: ``'bbox_head'`` or ``'mask_head'``.
        stages (Sequence[int] | dict, optional): Cascade stages of both; or
            ``dict(student=[...], teacher=[...])`` of equal length, where each stage of
            the teacher answers on the RoIs of the student's stage beside it. Defaults
            to all.

    Raises:
        ConfigError: A detector has no such heads, or not these stages.
    """

    rank = 2
    has_labels = of_classes = many_rows = True

    def __init__(
        self,
        name: str,
        student: nn.Module,
        teacher: nn.Module,
        part: str,
        stages: Stages,
    ) -> None:
        heads = dict(
            student=_heads(name, student, 'student', part),
            teacher=_heads(name, teacher, 'teacher', part),
        )
        counts = {role: len(paths) for role, paths in heads.items()}
        self.stages = _pairs(name, stages, counts)
        #: Of each pair, the head of each side.
        self.heads = {
            role: [paths[pair[side]] for pair in self.stages]
            for side, (role, paths) in enumerate(heads.items())
        }
        alike = len(set(counts.values())) == 1
        #: Of each pair, what the teacher is asked: its own stages need no number.
        self._about = [() if alike and s == t else (s,) for s, t in self.stages]
        once = [list(dict.fromkeys(paths)) for paths in self.heads.values()]
        super().__init__(name, student, teacher, *once)

    def asks(self) -> Dict[tuple, List[str]]:
        """Say which of the teacher's heads run on which of the student's RoIs."""
        asked: Dict[tuple, List[str]] = {}
        for about, head in zip(self._about, self.heads['teacher']):
            asked.setdefault(about, []).append(head)
        return asked

    def calls(self, taps: Taps, role: str) -> List[Optional[Call]]:
        """Return the call of each head; None where a stage did not run.

        A cascade ends early when no proposal is left.
        """
        return [self._call(taps, role, index) for index in range(len(self.stages))]

    def _call(self, taps, role, index):
        tap = taps[self.heads[role][index]]
        about = () if role == 'student' else self._about[index]
        if not tap.calls_about(about) and self.stages[index][0] > 0:
            return None
        tap.outputs(about)  # raises where recording went wrong
        if role == 'student':
            return head_call(taps, tap.name)
        return tap.calls_about(about)[0]


def nothing_of(taps: Taps, head: str, *shape: int) -> Tensor:
    """Return what a stage that did not run would have put out ``(0, *shape)``."""
    return next(taps[head].module.parameters()).detach().new_zeros(0, *shape)


def _heads(name, model, role, part):
    roi_head = getattr(model, 'roi_head', None)
    if getattr(roi_head, part, None) is None:
        what = 'mask head' if part == 'mask_head' else 'box head'
        raise UnsuitedError(
            f'on={name!r} needs a two-stage detector, but the {role} '
            f'({type(model).__name__}) has no {what}'
        )
    return stage_paths(model, part)


def _pairs(name, stages, counts) -> List[Tuple[int, int]]:
    """Pairs of a stage of the student and one of the teacher."""
    differ = len(set(counts.values())) > 1
    if differ and not isinstance(stages, dict):
        raise ConfigError(
            f'on={name!r}: there are {counts["student"]} stages of the student and '
            f'{counts["teacher"]} of the teacher; say which compare, as in '
            f'on=dict(pairing={name!r}, stages=dict(student=[0], '
            f'teacher=[{counts["teacher"] - 1}])).'
        )
    if not isinstance(stages, dict):
        both = list(range(counts['student'])) if stages is None else stages
        stages = dict(student=both, teacher=both)
    if set(stages) != set(counts):
        raise ConfigError(
            f'on={name!r}: stages={stages!r} must be a list, or a dict of one each '
            'for student and teacher.'
        )
    for role, count in counts.items():
        listed = stages[role]
        known = isinstance(listed, (list, tuple, range)) and len(listed) > 0
        if not known or not all(
            type(stage) is int and 0 <= stage < count for stage in listed
        ):
            raise ConfigError(
                f'on={name!r}: stages={listed!r} must be a list of some of the {count} '
                f'heads of the {role}, counted from 0.'
            )
    if len(stages['student']) != len(stages['teacher']):
        raise ConfigError(
            f'on={name!r}: stages={dict(stages)!r} must name as many stages of the '
            'teacher as of the student, one beside the other.'
        )
    return list(zip(stages['student'], stages['teacher']))
