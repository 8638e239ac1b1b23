"""Registries of mmkd: children of MMEngine's roots under the scope ``mmkd``.

From a config of any OpenMMLab tool, ``type='mmkd.NAME'`` finds a component; the
modules that define them are imported on first use.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

#: Distiller, losses, adapters, backbones and data preprocessors.
MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='mmkd',
    locations=[
        'mmkd.models.adapters',
        'mmkd.models.backbones',
        'mmkd.models.crop_flip_preprocessor',
        'mmkd.models.distiller',
        'mmkd.models.losses',
        'mmkd.models.weak_strong_preprocessor',
    ],
)
#: How kinds of networks are run in parts, see :mod:`mmkd.models.families`.
FAMILIES = Registry('family', scope='mmkd', locations=['mmkd.models.families'])
#: What ``on=`` can name, see :mod:`mmkd.models.pairings`.
PAIRINGS = Registry('pairing', scope='mmkd', locations=['mmkd.models.pairings'])
#: Training hooks.
HOOKS = Registry(
    'hook', parent=MMENGINE_HOOKS, scope='mmkd', locations=['mmkd.engine.hooks']
)
#: Data sets.
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, scope='mmkd', locations=['mmkd.datasets']
)
#: Ways to collate a batch.
FUNCTIONS = Registry(
    'function', parent=MMENGINE_FUNCTIONS, scope='mmkd', locations=['mmkd.datasets']
)
#: Validation loops.
LOOPS = Registry(
    'loop', parent=MMENGINE_LOOPS, scope='mmkd', locations=['mmkd.engine.loops']
)
#: Steps of data pipelines.
TRANSFORMS = Registry(
    'transform', parent=MMENGINE_TRANSFORMS, scope='mmkd', locations=['mmkd.datasets']
)
