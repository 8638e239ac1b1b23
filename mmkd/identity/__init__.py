"""Whether a teacher that has the student's own weights says what the student says.

Then both sides of a comparison are the same, but for what is random in training and
put to rest here: batch norm, dropout, drop path. Anything else that differs is a fault
in how :mod:`mmkd.models.families` runs the teacher, or in what a pairing lines up::

    distiller = twins(load_config('mmdet::htc/htc_r50_fpn_1x_coco.py'), ['roi.logits'])
    assert not any(misfits(distiller, batch_for(distiller.student)).values())

``tools/identity.py`` asks it of stock configs.
"""

from mmkd.identity.misfits import misfits
from mmkd.identity.twins import batch_for, offered, size_for, twins

__all__ = ['batch_for', 'misfits', 'offered', 'size_for', 'twins']
