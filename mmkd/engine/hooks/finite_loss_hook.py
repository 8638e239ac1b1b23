"""No checkpoint of a training that is broken already."""

from mmengine.hooks import CheckpointHook, Hook

from mmkd.engine.bare_model import bare_model
from mmkd.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops training before a checkpoint if a Distiller's loss was not finite.

    On a GPU the losses are looked at every now and then; this hook has them looked at
    before validation, before each checkpoint and at the end as well. ``tools/train.py``
    puts it into every run. Other models train as without it.

    Raises:
        NonFiniteLossError: A loss of some process was not finite; in all processes.
    """

    priority = 'HIGH'  # before others use the weights

    def before_val(self, runner) -> None:
        """Check before what is best is found and saved."""
        _check(runner)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Check before a checkpoint by iterations."""
        if any(self._saves_now(runner, hook) for hook in runner.hooks):
            _check(runner)

    def after_train_epoch(self, runner) -> None:
        """Check before a checkpoint by epochs, and at the end of any training."""
        _check(runner)

    def _saves_now(self, runner, hook):
        if not isinstance(hook, CheckpointHook) or hook.by_epoch:
            return False
        last = hook.save_last and self.is_last_train_iter(runner)
        return last or self.every_n_train_iters(runner, hook.interval, hook.save_begin)


def _check(runner):
    check = getattr(bare_model(runner), 'check_finite', None)
    if check is not None:
        check()
