"""No checkpoint of a training that is broken already."""

from typing import Optional

from mmengine.hooks import CheckpointHook, EMAHook, Hook

from mmkd.engine.bare_model import bare_model
from mmkd.engine.finite_weights import FiniteWeights
from mmkd.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops training before a checkpoint if a loss or a weight is not finite.

    On a GPU a Distiller's losses are looked at every now and then; this hook has them
    looked at before validation, before each checkpoint and at the end as well, and then
    the weights of any model, and their averages (EMA), too. ``tools/train.py`` puts it
    into every run.

    Raises:
        NonFiniteLossError: A loss of some process was not finite, or weights are not
            that were; in all processes.
    """

    priority = 'HIGH'  # before others use the weights

    def __init__(self) -> None:
        self._weights: Optional[FiniteWeights] = None
        self._checked = False  # since the last step

    def before_train(self, runner) -> None:
        """Look at the weights that training starts from."""
        models = {'the model': bare_model(runner)}
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                models['the averaged model'] = hook.ema_model.module
        self._weights = FiniteWeights(models)

    def before_val(self, runner) -> None:
        """Check before what is best is found and saved."""
        self._check(runner)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Check before a checkpoint by iterations."""
        self._checked = False
        if any(self._saves_now(runner, hook) for hook in runner.hooks):
            self._check(runner)

    def after_train_epoch(self, runner) -> None:
        """Check before a checkpoint by epochs, and at the end of any training."""
        self._check(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check what another hook saves, in the process that saves."""
        if self._weights is not None and not self._checked:
            self._weights.check_alone()

    def _saves_now(self, runner, hook):
        if not isinstance(hook, CheckpointHook) or hook.by_epoch:
            return False
        last = hook.save_last and self.is_last_train_iter(runner)
        return last or self.every_n_train_iters(runner, hook.interval, hook.save_begin)

    def _check(self, runner):
        check = getattr(bare_model(runner), 'check_finite', None)
        if check is not None:
            check()
        if self._weights is not None:  # else nothing is trained
            self._weights.check()
        self._checked = True
