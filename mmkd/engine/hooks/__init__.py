"""Training hooks."""

from .accelerate_hook import AccelerateHook
from .buffered_info_hook import BufferedInfoHook
from .checkpoint_fit_hook import CheckpointFitHook
from .epoch_seed_hook import EpochSeedHook
from .finite_loss_hook import FiniteLossHook
from .gradient_ratio_hook import GradientRatioHook
from .linear_probe_hook import LinearProbeHook
from .ranks_agree_hook import RanksAgreeHook
from .resume_hook import ResumeHook
from .teacher_eval_hook import TeacherEvalHook
from .training_labels_hook import TrainingLabelsHook

__all__ = [
    'AccelerateHook',
    'BufferedInfoHook',
    'CheckpointFitHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'GradientRatioHook',
    'LinearProbeHook',
    'RanksAgreeHook',
    'ResumeHook',
    'TeacherEvalHook',
    'TrainingLabelsHook',
]
