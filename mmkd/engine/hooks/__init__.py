"""Training hooks."""

from .ranks_agree_hook import RanksAgreeHook
from .teacher_eval_hook import TeacherEvalHook

__all__ = ['RanksAgreeHook', 'TeacherEvalHook']
