"""What was detected and how it was learnt, for people to look at."""

from mmkd.visualization.artifact import Artifact, new_figure, read_artifacts
from mmkd.visualization.curves import curves_figure, draw_curves
from mmkd.visualization.detections import draw_detections
from mmkd.visualization.progress_hook import ProgressHook
from mmkd.visualization.run_log import RunLog, find_runs, read_scalars
from mmkd.visualization.tables import markdown_table

__all__ = [
    'Artifact',
    'ProgressHook',
    'RunLog',
    'curves_figure',
    'draw_curves',
    'draw_detections',
    'find_runs',
    'markdown_table',
    'new_figure',
    'read_artifacts',
    'read_scalars',
]
