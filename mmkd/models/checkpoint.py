"""The Distiller's checkpoint is the student's, by construction."""

from mmengine.logging import print_log
from torch import nn

from mmkd.errors import CheckpointError, ConfigError
from mmkd.misfit import misfit
from mmkd.weight_names import EXTRAS

STUDENT = 'student.'
#: How a student starts from one network in a file of several.
CHOOSE = "give the student init_cfg=dict(type='Pretrained', checkpoint=PATH, prefix={})"


def keep_student_keys(distiller: nn.Module) -> None:
    """Let a Distiller save and load under its student's own keys.

    MMEngine walks modules itself to make a state dict, so hooks do the mapping:
    ``student.`` is taken off when saving and put back when loading. What the losses
    learn stays under ``distill.``. A checkpoint of the stock student loads as well.

    Args:
        distiller (nn.Module): A module with the children ``student`` and
            ``distill``.

    Raises:
        ConfigError: The student has a part of the name ``distill``.
    """
    if EXTRAS.rstrip('.') in distiller.student._modules:
        raise ConfigError(
            f'the student ({type(distiller.student).__name__}) has a module named '
            f'{EXTRAS.rstrip(".")!r}, under which what the losses learn is saved; '
            'give it another name.'
        )
    distiller._register_state_dict_hook(_save)
    distiller._register_load_state_dict_pre_hook(_load, with_module=True)


def _save(module, state, prefix, local_metadata):
    old = prefix + STUDENT
    for mapping in (state, getattr(state, '_metadata', {})):
        for key in list(mapping):
            # Popping and setting every key below keeps their order.
            if key.startswith(prefix):
                value = mapping.pop(key)
                mapping[prefix + key[len(old) :] if key.startswith(old) else key] = (
                    value
                )


def _load(module, state, prefix, *args):
    kept = prefix + EXTRAS
    for mapping in (state, getattr(state, '_metadata', None) or {}):
        for key in list(mapping):
            if key.startswith(prefix) and not key.startswith(kept):
                mapping[prefix + STUDENT + key[len(prefix) :]] = mapping.pop(key)
    wanted = module.student.state_dict(prefix=prefix + STUDENT)
    matched = sum(
        key in state and state[key].shape == value.shape
        for key, value in wanted.items()
    )
    if not matched and wanted:
        known, got = ([_bare(key, prefix) for key in keys] for keys in (wanted, state))
        raise CheckpointError(
            f'none of the {len(state)} tensors in the checkpoint belongs to the '
            f'student ({type(module.student).__name__}): it begins with '
            f'{next(iter(got), "nothing")!r}, the student with {known[0]!r}; '
            + (misfit(known, got, CHOOSE) or 'give a checkpoint of this student')
            + '.'
        )
    print_log(
        f'{matched} of {len(wanted)} tensors of the student found in the checkpoint.',
        logger='current',
    )


def _bare(key, prefix):
    return key[len(prefix + STUDENT) :] if key.startswith(prefix + STUDENT) else key
