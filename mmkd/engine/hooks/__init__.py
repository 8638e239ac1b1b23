"""Training hooks."""

from .gradient_ratio_hook import GradientRatioHook
from .ranks_agree_hook import RanksAgreeHook
from .teacher_eval_hook import TeacherEvalHook

__all__ = ['GradientRatioHook', 'RanksAgreeHook', 'TeacherEvalHook']
