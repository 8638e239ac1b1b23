"""What tells one training from another."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmkd.configs import student_of, teachers_of

#: Keys of a config that do not change what is trained.
NEUTRAL = (
    'work_dir',
    'launcher',
    'resume',
    'published',
    'benchmark',
    'randomness.seed',
)


def digest(checkpoint: str) -> str:
    """Return the SHA-256 of a file, or of a URL's text, as 64 hexadecimal digits."""
    path = Path(checkpoint)
    data = path.read_bytes() if path.is_file() else checkpoint.encode()
    return hashlib.sha256(data).hexdigest()


def config_hash(cfg: Config) -> str:
    """Return ten hexadecimal digits over all that decides what is trained.

    Keys of :data:`NEUTRAL` are left out, the seed among them, and the teachers'
    checkpoints count by what is in them.
    """
    cfg = copy.deepcopy(cfg)
    for teacher in teachers_of(cfg.model).values():
        if teacher.get('checkpoint'):
            teacher.checkpoint = digest(teacher.checkpoint)
    known = cfg.to_dict()
    for key in NEUTRAL:
        *outer, last = key.split('.')
        holder = known.get(outer[0]) or {} if outer else known
        holder.pop(last, None)
    if not known.get('randomness'):
        known.pop('randomness', None)
    return _ten(known)


def student_hash(cfg: Config) -> str:
    """Return ten hexadecimal digits over the network that is trained.

    They are the same for a student with teachers and alone.
    """
    student = student_of(cfg.model).to_dict()
    for key in ('_scope_', 'data_preprocessor'):
        student.pop(key, None)
    return _ten(student)


def _ten(known: Any) -> str:
    text = json.dumps(known, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
