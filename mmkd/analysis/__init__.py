"""Why a student is as good as it is: features, logits and errors of two networks."""

from mmkd.analysis.agreement import agreement, agreement_artifact, draw_agreement
from mmkd.analysis.calibration import (
    calibration,
    calibration_artifact,
    draw_calibration,
)
from mmkd.analysis.embedding import choose_samples, embed, knn_accuracy
from mmkd.analysis.linear_cka import cka_artifact, cka_matrix, draw_cka, linear_cka
from mmkd.analysis.logit_gap import (
    draw_logit_gap,
    logit_correlation,
    logit_gap,
    logit_gap_artifact,
    mean_gaps,
    relative,
)
from mmkd.analysis.training_curves import curves_artifact, read_runs
from mmkd.analysis.tsne import draw_tsne, tsne_artifact

__all__ = [
    'agreement',
    'agreement_artifact',
    'calibration',
    'calibration_artifact',
    'choose_samples',
    'cka_artifact',
    'cka_matrix',
    'curves_artifact',
    'draw_agreement',
    'draw_calibration',
    'draw_cka',
    'draw_logit_gap',
    'draw_tsne',
    'embed',
    'knn_accuracy',
    'linear_cka',
    'logit_correlation',
    'logit_gap',
    'logit_gap_artifact',
    'mean_gaps',
    'read_runs',
    'relative',
    'tsne_artifact',
]
