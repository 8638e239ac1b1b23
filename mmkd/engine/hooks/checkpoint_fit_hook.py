"""No training, and no test, of a network that is left random by mistake."""

from typing import Optional

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner.base_loop import BaseLoop

from mmkd.checkpoints import checkpoint_of
from mmkd.engine.bare_model import bare_model
from mmkd.errors import CheckpointError
from mmkd.registry import HOOKS
from mmkd.weight_names import EXTRAS

#: The share of a model's tensors that a training is to find.
LEAST = 0.5
ADVICE = (
    'give a checkpoint of this model, or the config that belongs to this checkpoint'
)


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Counts how much of a model ``load_from`` fills, and stops where that is little.

    What wraps all names is taken off, see
    :meth:`mmkd.checkpoints.Checkpoint.fitting`. mmkd's tools put it into every run that
    does not have it; to load little on purpose write::

        custom_hooks = [dict(type='mmkd.CheckpointFitHook', least=0.1)]

    Args:
        least (float, optional): The share of the model's tensors that has to be in the
            checkpoint, in name and shape, from 0 to 1. One of them always has to be.
            Defaults to 0.5 for a training, and for a test to all parameters.

    Raises:
        CheckpointError: There are fewer.
    """

    priority = 'VERY_HIGH'  # before averaged weights are set to what is loaded

    def __init__(self, least: Optional[float] = None) -> None:
        self.least = least

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take the names as the model has them, and count once they are loaded."""
        if runner._resume:
            return
        model = bare_model(runner)
        if isinstance(model, BaseTTAModel):
            model = model.module
        wanted = {
            key: tensor.shape
            for key, tensor in model.state_dict().items()
            if _counts(key)
        }
        path = runner._load_from
        held = checkpoint.get('state_dict', checkpoint)
        fitting = checkpoint_of(path, checkpoint).fitting(wanted).weights
        # Renamed, or arrays in the file.
        if any(held.get(key) is not value for key, value in fitting.items()):
            learned = {key: held[key] for key in held if key.startswith(EXTRAS)}
            checkpoint['state_dict'] = {**fitting, **learned}
        others = sum(
            key in fitting and fitting[key].shape != shape
            for key, shape in wanted.items()
        )

        parameters = {name for name, _ in model.named_parameters()}
        testing = not isinstance(runner._train_loop, BaseLoop)

        # Modules may rename what they load, so nobody knows before.
        def count(_, keys) -> None:
            handle.remove()
            missing = [key for key in keys.missing_keys if _counts(key)]
            self._judge(path, list(wanted), list(fitting), len(missing) + others)
            lost = sorted(parameters.intersection(missing))
            if testing and self.least is None and lost:
                raise CheckpointError(
                    f'{path} lacks {len(lost)} of the {len(parameters)} parameters of '
                    f'what is tested, such as {_first(lost)}, which would be random; '
                    f'{ADVICE}.'
                )

        handle = model.register_load_state_dict_post_hook(count)

    def _judge(self, path, wanted, held, lacking):
        matched = len(wanted) - lacking
        least = LEAST if self.least is None else self.least
        if matched and matched >= least * len(wanted):
            return
        raise CheckpointError(
            f"{path} has {matched or 'none'} of the model's {len(wanted)} tensors: it "
            f'begins with {_first(held)}, the model with {_first(wanted)}; {ADVICE}'
            + (
                f', or, to leave the rest random on purpose, set least below '
                f'{matched / len(wanted):.2f} in custom_hooks=[dict('
                "type='mmkd.CheckpointFitHook', least=...)]."
                if matched
                else '.'
            )
        )


def _counts(key: str) -> bool:
    return not (key.startswith(EXTRAS) or key.endswith('num_batches_tracked'))


def _first(names) -> str:
    return ', '.join(map(repr, names[:3])) or 'nothing'
