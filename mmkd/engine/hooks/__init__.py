"""Training hooks."""

from .accelerate_hook import AccelerateHook
from .buffered_info_hook import BufferedInfoHook
from .checkpoint_fit_hook import CheckpointFitHook
from .finite_loss_hook import FiniteLossHook
from .gradient_ratio_hook import GradientRatioHook
from .linear_probe_hook import LinearProbeHook
from .missed_validation_hook import MissedValidationHook
from .ranks_agree_hook import RanksAgreeHook
from .resume_hook import ResumeHook
from .seed_hook import SeedHook
from .teacher_eval_hook import TeacherEvalHook
from .training_labels_hook import TrainingLabelsHook

__all__ = [
    'AccelerateHook',
    'BufferedInfoHook',
    'CheckpointFitHook',
    'FiniteLossHook',
    'GradientRatioHook',
    'LinearProbeHook',
    'MissedValidationHook',
    'RanksAgreeHook',
    'ResumeHook',
    'SeedHook',
    'TeacherEvalHook',
    'TrainingLabelsHook',
]
