"""Going on from a checkpoint only where it fits."""

from typing import Dict, List, Optional

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from mmkd.checkpoints import Checkpoint
from mmkd.compat.whole_files import SUPERSEDED
from mmkd.engine.bare_model import bare_model
from mmkd.engine.resume.carry import carry_over, check_groups
from mmkd.engine.resume.differences import Difference, differences, listed
from mmkd.engine.resume.newest import check_training, folder_of, remove_superseded
from mmkd.errors import CheckpointError
from mmkd.registry import HOOKS
from mmkd.weight_names import EXTRAS


@HOOKS.register_module()
class ResumeHook(Hook):
    """Looks at what a training is to go on from, before the model gets it.

    Every tensor has to fit, and the classes have to be the same. ``tools/train.py``
    puts it into every run that resumes.

    Args:
        allow_new_losses (bool): Let losses begin afresh that the checkpoint was trained
            without. All others keep what they have learned, and the optimizer what it
            knows of each parameter. Defaults to False.

    Raises:
        CheckpointError: The checkpoint does not fit.
    """

    priority = 'VERY_HIGH'  # before averaged weights are taken out

    def __init__(self, allow_new_losses: bool = False) -> None:
        self.allow_new_losses = allow_new_losses

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check it, and rearrange it where the losses are others."""
        path = runner._load_from
        check_training(checkpoint, path)
        _check_processes(checkpoint, path)
        _check_place(runner, checkpoint, path)
        _check_classes(runner, checkpoint, path)
        if 'ema_state_dict' in checkpoint and not _hooks(runner, EMAHook):
            raise CheckpointError(
                f'{path} holds averaged weights, and the config has no EMAHook to go '
                'on averaging; put the EMAHook back.'
            )
        held = checkpoint['state_dict']
        wanted = bare_model(runner).state_dict(keep_vars=True)
        changes = _model_changes(runner, checkpoint)
        misfits = _misfits(held, wanted, changes)
        # What losses need follows from the networks, so those first.
        networks = {k: v for k, v in misfits.items() if not k.startswith(EXTRAS)}
        _refuse(networks, path, changes)
        then, now = _learned(held), _learned(wanted)
        self._check_losses(runner, then, now, path)
        added = [key for name in now if name not in then for key in now[name]]
        for key in added:
            held[key] = wanted[key].detach().clone()
            if 'ema_state_dict' in checkpoint:
                checkpoint['ema_state_dict'][f'module.{key}'] = held[key].clone()
        _refuse({k: v for k, v in misfits.items() if k not in added}, path, changes)
        if 'param_groups' in checkpoint['optimizer']:  # there is one optimizer
            if list(then) != list(now):
                carry_over(runner, checkpoint, list(then))
            optimizer = runner.optim_wrapper.optimizer
            check_groups(checkpoint['optimizer'], optimizer.param_groups)
        _stay_here(runner, checkpoint)

    def _check_losses(self, runner, then, now, path):
        added = [name for name in now if name not in then]
        losses = getattr(bare_model(runner), 'distill', {})
        learn = [name for name in added if list(losses[name].parameters())]
        if learn and not self.allow_new_losses:
            raise CheckpointError(
                f'{path} was trained without {" and ".join(learn)}, which has '
                'something to learn; let it begin afresh with --resume '
                '--allow-new-losses, or take it out.'
            )
        removed = [name for name in then if name not in now]
        if removed:
            raise CheckpointError(
                f'{path} holds what {" and ".join(removed)} has learned, which the '
                'config no longer has; put it back, or start a new training from these '
                'weights, with load_from and without --resume.'
            )
        if added:
            runner.logger.info(f'New, and begins afresh: {", ".join(added)}.')


def _model_changes(runner, checkpoint) -> Optional[List[Difference]]:
    """Return what has changed in the model's config, None where nobody knows."""
    try:
        changes = differences(checkpoint['meta'], runner.cfg.pretty_text)
    except ValueError:
        return None
    return [change for change in changes if change.path.startswith('model')]


def _misfits(held: dict, wanted: dict, changes) -> Dict[str, str]:
    """Return what is wrong with tensors that do not fit, by their keys."""
    misfits = {}
    for key in {**wanted, **held}:
        if key not in wanted:
            # A module may make buffers on its way, which it will again.
            if changes is None or changes:
                misfits[key] = 'which the model does not have'
        elif key not in held:
            if isinstance(wanted[key], nn.Parameter):
                misfits[key] = 'which it does not have'
        else:
            then, now = (tuple(getattr(s[key], 'shape', ())) for s in (held, wanted))
            if then != now:
                misfits[key] = f'which is {then} in it and {now} in the model'
    return misfits


def _refuse(misfits: Dict[str, str], path, changes) -> None:
    if not misfits:
        return
    key, why = next(iter(misfits.items()))
    since = f'; since then {listed(changes)}' if changes else ''
    raise CheckpointError(
        f'{path} does not fit the model: {len(misfits)} tensors differ, such as {key}, '
        f'{why}{since}; go on with the model that it was trained with, or start a new '
        'training from its weights, with load_from and without --resume.'
    )


def _learned(state: dict) -> Dict[str, List[str]]:
    """Return the keys of what losses have learned by the losses' names, in order."""
    learned: Dict[str, List[str]] = {}
    for key in state:
        if key.startswith(EXTRAS):
            learned.setdefault(key.split('.')[1], []).append(key)
    return learned


def _hooks(runner, kind):
    return [hook for hook in runner.hooks if isinstance(hook, kind)]


def _check_processes(checkpoint, path):
    if len(set(all_gather_object(checkpoint['meta']['iter']))) > 1:
        raise CheckpointError(
            f'{path} is not the same for all processes; start them again when nobody '
            'else trains there.'
        )


def _check_place(runner, checkpoint, path):
    """Check that it is not beyond the end, and that schedules know where they are."""
    meta, loop = checkpoint['meta'], runner.train_loop
    by_epochs = isinstance(loop, EpochBasedTrainLoop)
    unit, length = ('epoch', 'max_epochs') if by_epochs else ('iter', 'max_iters')
    if meta[unit] > getattr(loop, f'_{length}', meta[unit]):
        raise CheckpointError(
            f'{path} is of {unit} {meta[unit]}, beyond the end of the training; set '
            f'train_cfg.{length} above it.'
        )
    then, now = checkpoint.get('param_schedulers'), runner.param_schedulers
    if now and _outline(then) != _outline(now):
        raise CheckpointError(
            f'{path} does not hold the state of the schedules in param_scheduler (it '
            'was saved with save_param_scheduler=False, or is damaged), which would '
            'begin anew; start a new training from its weights, with load_from and '
            'without --resume.'
        )


def _outline(schedulers):
    """How many there are; of a state, only those that tell their step count."""
    if isinstance(schedulers, dict):
        return {name: _outline(each) for name, each in schedulers.items()}
    known = [s for s in schedulers or () if not isinstance(s, dict) or 'last_step' in s]
    return len(known)


def _check_classes(runner, checkpoint, path):
    then = Checkpoint(path, {}, checkpoint['meta']).classes
    metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', None)
    now = Checkpoint(path, {}, dict(dataset_meta=metainfo)).classes
    if then is None or now is None or then == now:
        return
    pairs = enumerate(zip(then, now))
    index, (old, new) = next(
        ((i, pair) for i, pair in pairs if pair[0] != pair[1]),
        (min(len(then), len(now)), ('nothing', 'more')),
    )
    raise CheckpointError(
        f'{path} was trained on {len(then)} classes, the data now has {len(now)}, and '
        f'class {index} was {old!r} and is {new!r}; go on with the same classes.'
    )


def _stay_here(runner, checkpoint):
    """Have the best checkpoint be the one in this work dir, if this is a copy.

    And remove there what a kill kept from being removed.
    """
    hooks = _hooks(runner, CheckpointHook)
    folder = folder_of(vars(hooks[0]), runner.work_dir) if hooks else None
    if folder is None:
        return
    info = checkpoint['message_hub'].get('runtime_info', {})
    if is_main_process() and hooks[0].max_keep_ckpts > 0:
        step = checkpoint['meta']['epoch' if hooks[0].by_epoch else 'iter']
        names = info.get(SUPERSEDED, ())
        remove_superseded(folder, hooks[0].filename_tmpl, names, step)
    for key, value in info.items():
        if isinstance(value, str) and (
            key == 'last_ckpt' or key.startswith('best_ckpt')
        ):
            info[key] = str(folder / value.rsplit('/', 1)[-1])
