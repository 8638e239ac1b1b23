"""The validation that a kill left out."""

from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmkd.registry import HOOKS

#: In checkpoints: epoch and iteration of the last validation.
KEY = 'last_validation'


@HOOKS.register_module()
class MissedValidationHook(Hook):
    """Makes up, on resume, for a validation that the checkpoint does not know of.

    MMEngine saves before it validates. A run that was killed in between would go on
    without: its log would lack a figure, and ``save_best`` perhaps the best. So a
    resumed run validates first, where it would have done so after its checkpoint. If
    that had been done before the kill, the log has the same figures twice, and
    schedulers that go by them stand where they stood. ``tools/train.py`` puts it into
    every run.
    """

    priority = 'LOWEST'  # once all others are ready to train

    def before_train(self, runner) -> None:
        """Validate if the run would have done so here."""
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook):
                _recall_last(hook, runner)
        known = runner.message_hub.get_info(KEY, (0, 0))
        unit, due = _due(runner.train_loop, *known)
        if due and runner.val_loop is not None:
            runner.logger.info(
                f'Validating first: the checkpoint of {unit} was saved before that.'
            )
            runner.val_loop.run()

    def before_val(self, runner) -> None:
        """Note it for a checkpoint that is saved with its outcome."""
        runner.message_hub.update_info(KEY, [runner.epoch, runner.iter])


def _recall_last(hook, runner):
    """Tell what it saved last: a resumed one saves no checkpoint with a new best."""
    step = runner.epoch if hook.by_epoch else runner.iter
    name = hook.filename_tmpl.format(step)
    path = hook.file_backend.join_path(hook.out_dir, name)
    if hook.last_ckpt is None and hook.file_backend.isfile(path):
        hook.last_ckpt = path


def _due(loop, epoch, iteration):
    """Return where a loop stands, and whether it validates there, not having yet."""
    if isinstance(loop, EpochBasedTrainLoop):
        unit, done, end, known = 'epoch', loop.epoch, loop.max_epochs, epoch
    elif isinstance(loop, IterBasedTrainLoop):
        unit, done, end, known = 'iteration', loop.iter, loop.max_iters, iteration
    else:
        return '', False
    loop._decide_current_val_interval()
    here = done % loop.val_interval == 0 or done == end
    due = here and done >= max(1, loop.val_begin) and done != known
    return f'{unit} {done}', due
