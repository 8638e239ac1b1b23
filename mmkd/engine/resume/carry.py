"""Carrying an optimizer's state over to a model with other losses, by parameter."""

import copy
from typing import Dict, List, Optional, Sequence, Tuple

from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

from mmkd.engine.bare_model import bare_model
from mmkd.errors import CheckpointError


def carry_over(runner: Runner, checkpoint: dict, losses: Sequence[str]) -> None:
    """Arrange the states of optimizer and schedulers as the model now needs them.

    An optimizer knows parameters by their numbers. Which is which follows from how the
    same settings number those of a model with the losses that there were then. What is
    new has no state yet, and is scheduled as the first group of parameters is.

    Args:
        runner (Runner): With its model and optimizer.
        checkpoint (dict): Changed in place.
        losses (Sequence[str]): Names of the losses with something to learn that the
            checkpoint was made with, in their order.

    Raises:
        CheckpointError: The state is of other parameters.
    """
    saved = checkpoint['optimizer']
    fresh = runner.optim_wrapper.optimizer.param_groups
    before = _groups_with(runner, losses)
    check_groups(saved, before)
    known: Dict[int, Tuple[int, int]] = {}
    for number, (group, kept) in enumerate(zip(before, saved['param_groups'])):
        for parameter, index in zip(group['params'], kept['params']):
            known[id(parameter)] = number, index
    state, groups, origins, count = {}, [], [], 0
    for group in fresh:
        places = [known.get(id(parameter)) for parameter in group['params']]
        for index, place in enumerate(places, count):
            if place and place[1] in saved['state']:
                state[index] = saved['state'][place[1]]
        origin = next((place[0] for place in places if place), None)
        options = _options(group, saved['param_groups'], origin)
        groups.append(dict(options, params=list(range(count, count + len(places)))))
        origins.append(origin)
        count += len(places)
    checkpoint['optimizer'] = dict(saved, state=state, param_groups=groups)
    for schedule in checkpoint.get('param_schedulers') or ():
        name = schedule.get('param_name')
        for key in ('base_values', '_last_value'):
            values = schedule[key]
            carried = [
                values[0] * _share(group, saved['param_groups'][0], name)
                if origin is None
                else values[origin]
                for group, origin in zip(fresh, origins)
            ]
            # MMEngine schedules one more, of no parameters, for its log.
            schedule[key] = carried + list(values[len(before) :])


def check_groups(saved: dict, groups: List[dict]) -> None:
    """Check that an optimizer's state is of so many parameters as an optimizer has.

    Args:
        saved (dict): The state.
        groups (list[dict]): The optimizer's groups of parameters.

    Raises:
        CheckpointError: It is of others.
    """
    kept = saved.get('param_groups', [])
    then, now = ([len(group['params']) for group in each] for each in (kept, groups))
    if then != now:
        raise CheckpointError(
            f"the checkpoint has the optimizer's state of {sum(then)} parameters in "
            f'{len(then)} groups, and the config makes an optimizer of {sum(now)} in '
            f'{len(now)}; go on with the config that it was trained with.'
        )


def _groups_with(runner: Runner, losses: Sequence[str]) -> List[dict]:
    """Return the groups that there would be with these losses only."""
    terms = bare_model(runner).distill
    now = dict(terms.items())
    try:
        terms.clear()
        terms.update({name: now[name] for name in losses})
        settings = copy.deepcopy(runner.cfg.optim_wrapper)
        return build_optim_wrapper(runner.model, settings).optimizer.param_groups
    finally:
        terms.clear()
        terms.update(now)


def _options(group: dict, kept: List[dict], origin: Optional[int]) -> dict:
    """Return the settings of a group: as they were, or as far as the first has got."""
    if origin is not None:
        return kept[origin]
    first = kept[0]
    scheduled = [key for key in group if f'initial_{key}' in first]
    now = {key: first[key] * _share(group, first, key) for key in scheduled}
    return {**group, **now}


def _share(group: dict, first: dict, key: str) -> float:
    """Return what a group began with, as a multiple of what the first one did."""
    initial = f'initial_{key}'
    return group[initial] / first[initial] if first.get(initial) else 1.0
