"""What was detected and how it was learnt, for people to look at."""

from typing import TYPE_CHECKING

from mmkd.lazy import lazy_attributes
from mmkd.visualization.artifact import Artifact, new_figure, read_artifacts
from mmkd.visualization.claim import claim
from mmkd.visualization.curves import curves_figure, draw_curves
from mmkd.visualization.run_log import RunLog, find_runs, read_scalars
from mmkd.visualization.tables import markdown_table

if TYPE_CHECKING:
    from mmkd.visualization.detections import draw_detections
    from mmkd.visualization.progress_hook import ProgressHook

__all__ = [
    'Artifact',
    'ProgressHook',
    'RunLog',
    'claim',
    'curves_figure',
    'draw_curves',
    'draw_detections',
    'find_runs',
    'markdown_table',
    'new_figure',
    'read_artifacts',
    'read_scalars',
]

# A picture of curves needs no mmdet.
__getattr__, __dir__ = lazy_attributes(
    __name__,
    ProgressHook='mmkd.visualization.progress_hook',
    draw_detections='mmkd.visualization.detections',
)
