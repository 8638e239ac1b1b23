"""Many trainings, one table: what ``tools/run_benchmark.py`` is made of."""

from .cell import Cell
from .job import Job
from .plan import plan
from .pool import Pool
from .report import write_report
from .shrink import shrink

__all__ = ['Cell', 'Job', 'Pool', 'plan', 'shrink', 'write_report']
