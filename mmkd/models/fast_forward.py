"""Running the bulk of a network compiled, or replayed as CUDA graphs."""

from typing import Callable, Collection, Dict, Iterator, Tuple

import torch
from torch import Tensor, nn

from mmkd.errors import ConfigError

#: Children of a model that hold its arithmetic: images or maps in, maps out.
PARTS = ('backbone', 'neck')
#: Calls with equal shapes before a graph is captured: an odd batch never is.
CALLS_BEFORE_CAPTURE = 3


class FastForward:
    """Stands in for one module's ``forward``, as ``torch.cuda.make_graphed_callables``
    puts it there; hooks on the module go on working.

    A copy of the module (EMA's) runs as it was written.

    Args:
        module (nn.Module): The module.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.eager: Callable = module.forward

    def __deepcopy__(self, memo: dict) -> Callable:
        copied = memo[id(self.module)]
        return type(copied).forward.__get__(copied)


class CompiledForward(FastForward):
    """Compiles a module's ``forward``.

    Args:
        module (nn.Module): The module.
        options (dict): Arguments of ``torch.compile``.
    """

    def __init__(self, module: nn.Module, options: dict) -> None:
        super().__init__(module)
        self._run = torch.compile(self.eager, **options)

    def __call__(self, *args, **kwargs):
        return self._run(*args, **kwargs)


class GraphedForward(FastForward):
    """Replays a module's ``forward``, and backward, as CUDA graphs.

    The kernels are the same as without. A graph belongs to one shape, mode and
    precision; a call that fits none that came often enough runs as usual, such as
    the last batch of an epoch.

    Args:
        module (nn.Module): The module.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self._calls: Dict[tuple, int] = {}
        self._graphs: Dict[tuple, Callable] = {}

    def __call__(self, *args, **kwargs):
        if kwargs or not all(isinstance(a, Tensor) and a.is_cuda for a in args):
            return self.eager(*args, **kwargs)
        key = self._key(args)
        if key not in self._graphs:
            self._calls[key] = self._calls.get(key, 0) + 1
            if self._calls[key] <= CALLS_BEFORE_CAPTURE:
                return self.eager(*args)
            self._graphs[key] = self._capture(args)
        return self._graphs[key](*args)

    def _key(self, args):
        device = args[0].device.type
        shapes = tuple((a.shape, a.dtype, a.stride(), a.requires_grad) for a in args)
        precision = torch.is_autocast_enabled() and torch.get_autocast_gpu_dtype()
        modes = self.module.training, torch.is_grad_enabled()
        return device, shapes, precision, modes

    def _capture(self, args):
        samples = tuple(
            a.detach().clone().requires_grad_(a.requires_grad) for a in args
        )
        # The trial runs of a capture are no training steps.
        kept = {name: b.clone() for name, b in self.module.named_buffers()}
        amp = torch.is_autocast_enabled()
        dtype = torch.get_autocast_gpu_dtype()
        # A cached cast would be a tensor that no replay renews.
        with torch.autocast('cuda', dtype, amp, cache_enabled=False):
            learns = any(p.requires_grad for p in self.module.parameters())
            if torch.is_grad_enabled() and learns:
                bare = _Bare(self.module, self.eager)
                replay = torch.cuda.make_graphed_callables(
                    bare, samples, allow_unused_input=True
                )
            else:
                replay = _capture_inference(self.eager, samples)
        with torch.no_grad():
            for name, buffer in self.module.named_buffers():
                buffer.copy_(kept[name])
        return replay


class _Bare(nn.Module):
    """A module without its hooks, which a capture does not allow."""

    def __init__(self, module, forward):
        super().__init__()
        self.module = module
        # Not train(): that would reach modules that are frozen inside.
        self.training = module.training
        self._forward = forward

    def forward(self, *args):
        return self._forward(*args)


def _capture_inference(forward, samples):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(stream):
        for _ in range(3):
            forward(*samples)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        output = forward(*samples)

    def replay(*args):
        for sample, arg in zip(samples, args):
            sample.copy_(arg)
        graph.replay()
        return output

    return replay


def speed_up(
    model: nn.Module,
    tapped: Collection[str],
    make: Callable[[nn.Module], FastForward],
) -> Tuple[str, ...]:
    """Put fast forwards into a model's backbone and neck.

    What is compared must come out as it is: a module that contains a tapped one
    stays as it is, and its children are taken instead.

    Args:
        model (nn.Module): A classifier, changed in place.
        tapped (Collection[str]): Modules whose outputs or inputs are recorded.
        make (Callable): Makes the fast forward of a module.

    Returns:
        tuple[str, ...]: Names of the modules that run fast now.
    """
    units = tuple(_units(model, tapped))
    if not units:
        raise ConfigError(
            f'AccelerateHook: {type(model).__name__} has neither a backbone nor a neck '
            'to compile; leave compile and cuda_graph out.'
        )
    for name in units:
        module = model.get_submodule(name)
        if not isinstance(getattr(module, 'forward', None), FastForward):
            module.forward = make(module)
    return units


def _units(model: nn.Module, tapped) -> Iterator[str]:
    for name in PARTS:
        part = getattr(model, name, None)
        if isinstance(part, nn.Module):
            yield from _units_below(name, part, tapped)


def _units_below(path, module, tapped):
    if not any(name.startswith(f'{path}.') for name in tapped):
        if any(True for _ in module.parameters()):
            yield path
        return
    for name, child in module.named_children():
        yield from _units_below(f'{path}.{name}', child, tapped)
