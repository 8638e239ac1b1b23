"""Recording the calls of named modules."""

import difflib
from collections import Counter
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError

#: torch 2.1 does not say.
_is_compiling = getattr(torch.compiler, 'is_compiling', lambda: False)


def find_module(model: nn.Module, name: str, role: str) -> nn.Module:
    """Return the module of a dotted name.

    Args:
        model (nn.Module): Where to look.
        name (str): Dotted name, as in ``named_modules()``.
        role (str): ``'student'`` or ``'teacher'``, for the message.

    Raises:
        ConfigError: There is none; names the closest.
    """
    try:
        if name:
            return model.get_submodule(name)
    except AttributeError:
        pass
    modules = [path for path, _ in model.named_modules() if path]
    close = difflib.get_close_matches(name, modules, n=3, cutoff=0.4)
    close = close or [child for child, _ in model.named_children()]
    raise ConfigError(
        f'the {role} ({type(model).__name__}) has no module {name!r}; '
        f'closest: {", ".join(close)}.'
    )


def tensors(value: Any) -> List[Tensor]:
    """List the tensors in a module's output: a tensor, or nested containers."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [tensor for item in value for tensor in tensors(item)]
    return []


class Call(NamedTuple):
    """One recorded call; ``tensors`` are those of its output, of these ``versions``.

    Both are as they were then: the loss of a head may exchange what is in the list that
    it put out. Versions are None inside of what ``torch.compile`` traces: a graph's
    outputs have versions of their own, which tell nothing of changes in place. The dry
    run, which is never compiled, has looked for these.

    ``args`` and ``kwargs`` are kept only where asked for: they would keep feature
    maps alive that nothing compares. ``gradients`` says whether gradients were recorded
    then, which ``torch.no_grad`` around a call prevents. ``about`` is what a teacher
    was asked, see :meth:`.Pairing.asks`.
    """

    args: tuple
    kwargs: dict
    output: Any
    versions: Optional[List[int]]
    gradients: bool
    about: tuple = ()
    tensors: Sequence[Tensor] = ()


class Tap:
    """Records inputs, outputs and keyword arguments of one module's calls.

    What ran without gradients does not count beside what ran with them: a sampler that
    asks the box head first (OHEM, PISA) gets answers that no loss trains on.

    Args:
        model (nn.Module): The network.
        name (str): Dotted name of the module in it.
        role (str): ``'student'`` or ``'teacher'``, for messages.
        inputs (bool): Keep the inputs too. Defaults to False.
    """

    def __init__(
        self, model: nn.Module, name: str, role: str, inputs: bool = False
    ) -> None:
        self.module = find_module(model, name, role)
        self.name = name
        self.role = role
        self.inputs = inputs
        self.about: tuple = ()
        self.calls: List[Call] = []
        #: Height and width of the images, without and with padding.
        self._sizes: Optional[Tuple[tuple, tuple]] = None

    def crop(self, shown: Tuple[int, int], padded: Tuple[int, int]) -> None:
        """From now on read the part of maps that shows the images.

        Args:
            shown (tuple[int, int]): Height and width of the images.
            padded (tuple[int, int]): With what was padded below and on the right.
        """
        self._sizes = None if shown == padded else (shown, padded)

    def record(self, module, args, kwargs, output) -> None:
        """Take one call; a forward hook."""
        put_out = tensors(output)
        if _is_compiling():
            versions = None
        else:
            versions = [tensor._version for tensor in put_out]
        if not self.inputs:
            args, kwargs = (), {}
        gradients = torch.is_grad_enabled()
        if self.calls and self.calls[-1].gradients != gradients:
            if not gradients:
                return
            self.calls.clear()
        about = self.about
        call = Call(args, kwargs, output, versions, gradients, about, put_out)
        self.calls.append(call)

    def calls_about(self, about: tuple = ()) -> List[Call]:
        """Return the calls in which the module was asked one thing, in order."""
        return [call for call in self.calls if call.about == about]

    def outputs(self, about: tuple = ()) -> List[Tensor]:
        """Return the tensors put out during the step, in order.

        Args:
            about (tuple): What the module was asked. Defaults to what its family asks.

        Raises:
            ConfigError: The module was not called, or its output was changed in
                place since.
        """
        calls = self.calls_about(about)
        if not calls:
            raise ConfigError(
                f'the {self.role} did not call {self.name!r} in this step; choose a '
                'module that every training step passes.'
            )
        kept = []
        for call in calls:
            now = [tensor._version for tensor in call.tensors]
            if call.versions not in (None, now):
                raise ConfigError(self._in_place())
            kept += map(self._cropped, call.tensors)
        if not kept:
            raise ConfigError(
                f'the {self.role} module {self.name!r} puts out no tensor.'
            )
        return kept

    def _cropped(self, tensor):
        if self._sizes is None or tensor.dim() not in (3, 4):
            return tensor
        shown, padded = self._sizes
        if tensor.dim() == 3:
            raise ConfigError(
                f'the {self.role} module {self.name!r} puts out tokens, shape '
                f'{tuple(tensor.shape)}, of images that are padded from {shown} to '
                f'{padded} for it alone, and which of them show the images is not '
                "known; compare maps (N, C, H, W), or give the student's "
                f"data_preprocessor the {self.role}'s pad_size_divisor."
            )
        # As strided convolutions do, a pixel that shows a part of the images counts.
        height, width = (
            -(-side * inner // outer)
            for side, inner, outer in zip(tensor.shape[2:], shown, padded)
        )
        return tensor[:, :, :height, :width]

    def _in_place(self):
        parent = self.name.rpartition('.')[0]
        inside = [f'{self.name}.{child}' for child, _ in self.module.named_children()]
        if parent:
            instead = f'that later module or {parent!r}'
        elif inside:
            instead = f'that later module, or one in it: {", ".join(inside)},'
        else:
            instead = 'that later module'
        return (
            f'the output of the {self.role} module {self.name!r} was changed in place '
            'by a later module (an in-place ReLU or addition), so its recorded value '
            f'is gone; tap {instead} instead.'
        )


class Taps:
    """Several taps on one network, open inside a ``with`` block.

    Args:
        model (nn.Module): The network.
        outputs (Iterable[str]): Dotted names of modules whose outputs to keep, as often
            as they are read.
        role (str): ``'student'`` or ``'teacher'``, for messages.
        inputs (Iterable[str]): Names of those whose inputs to keep too.
    """

    def __init__(
        self,
        model: nn.Module,
        outputs: Iterable[str],
        role: str,
        inputs: Iterable[str] = (),
    ) -> None:
        self.model = model
        inputs = set(inputs)
        self._readers = Counter(outputs)
        names = dict.fromkeys([*self._readers, *inputs])
        self._taps: Dict[str, Tap] = {
            name: Tap(model, name, role, name in inputs) for name in names
        }
        self._handles: list = []

    def __enter__(self) -> 'Taps':
        for tap in self._taps.values():
            handle = tap.module.register_forward_hook(tap.record, with_kwargs=True)
            self._handles.append(handle)
        return self

    def __exit__(self, *exc_info) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __getitem__(self, name: str) -> Tap:
        return self._taps[name]

    def ask(self, about: tuple) -> None:
        """Say what the calls from now on are about."""
        for tap in self._taps.values():
            tap.about = about

    def others_read(self, names: Iterable[str]) -> bool:
        """Whether outputs were recorded that more read than who reads ``names``."""
        left = self._readers - Counter(names)
        return any(self._taps[name].calls for name in left)
