"""Transfer evaluation: is what a network learned worth carrying elsewhere?"""

from .classifiers.linear_probe import linear_probe
from .comparison import comparison, summarize
from .entry import Entry, parse_entries
from .evaluation import Run, evaluate
from .features.cache import cached_features
from .network import Network
from .pixels import Pixels
from .protocol import Protocol
from .targets import TARGETS, Target, load_target, subset

__all__ = [
    'TARGETS',
    'Entry',
    'Network',
    'Pixels',
    'Protocol',
    'Run',
    'Target',
    'cached_features',
    'comparison',
    'evaluate',
    'linear_probe',
    'load_target',
    'parse_entries',
    'subset',
    'summarize',
]
