"""Optimizers that tell parameters apart by the names that the student gives them.

What builds an optimizer reads the names of the parameters in the model that is trained:
layer-wise decay of the learning rate looks for those that begin with ``backbone``. A
model in which the student is a part has other names, and MMEngine 0.10 has no place
where a model could say them: constructors walk it each in their own way
(https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/optim/optimizer/builder.py).
Delete this when a model can.
"""

from typing import Any, Callable

from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

from mmkd.errors import ConfigError

#: How the names of parameters begin in a Distiller itself.
STUDENT = 'student'


class NamedAsStudent:
    """A constructor of optimizer wrappers that sees a student under its own names.

    It gives a model with the method ``as_student`` as that returns it, any other as it
    is. Otherwise it is the constructor.

    Args:
        constructor (Callable): As MMEngine built it.
    """

    def __init__(self, constructor: Callable) -> None:
        self._constructor = constructor

    def __call__(self, model: Any) -> Any:
        """Return the optimizer wrapper of a model.

        Raises:
            ConfigError: A setting names parameters as they are in no student.
        """
        from mmengine.model import is_model_wrapper

        bare = model.module if is_model_wrapper(model) else model
        if hasattr(bare, 'as_student') and not self._knows_distillers():
            model = bare.as_student()
        return self._constructor(model)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._constructor, name)

    def _knows_distillers(self):
        """Whether settings name the student, which MMEngine's own looks for."""
        from mmengine.optim import DefaultOptimWrapperConstructor

        settings = getattr(self._constructor, 'paramwise_cfg', None) or {}
        keys = [
            key
            for key in settings.get('custom_keys') or ()
            if str(key).split('.')[0] == STUDENT
        ]
        kind = type(self._constructor)
        if keys and kind is not DefaultOptimWrapperConstructor:
            raise ConfigError(
                f'optim_wrapper.paramwise_cfg.custom_keys names {keys[0]!r}, and '
                f'{kind.__name__} sees parameters by the names that the student gives '
                f"them, such as 'backbone.conv1.weight'; leave {STUDENT!r} out."
            )
        return bool(keys)


def install() -> None:
    """Let all constructors be built so."""
    build = OPTIM_WRAPPER_CONSTRUCTORS.build_func
    if getattr(build, 'by', None) is NamedAsStudent:
        return

    def build_named(*args, **kwargs) -> NamedAsStudent:
        return NamedAsStudent(build(*args, **kwargs))

    build_named.by = NamedAsStudent
    OPTIM_WRAPPER_CONSTRUCTORS.build_func = build_named
