"""The losses, for a config or for a training loop of one's own.

Example:
    >>> from mmkd.losses import LumiNetLoss
"""

from mmkd.models.losses import *  # noqa: F403
from mmkd.models.losses import __all__  # noqa: F401
