"""What trainings in a folder end with, and whether that is the same."""

import json
import re


def trainings(folder):
    """Return the work folders of trainings in a folder."""
    logs = folder.rglob('vis_data/scalars.json')
    found = {path.parents[2] for path in logs}
    return sorted(path.relative_to(folder) for path in found)


def checkpoints(folder):
    """Return the whole checkpoints of a training, the best ones too, by name."""
    import torch

    whole = {}
    for path in folder.glob('*.pth'):
        try:
            whole[path.name] = torch.load(path, weights_only=False, map_location='cpu')
        except Exception:  # cut off by a kill, in some way
            continue
    return whole


def reached(folder):
    """Return the iterations that each training's newest whole checkpoint has."""
    return {
        str(name): max(
            (
                state['meta']['iter']
                for file, state in checkpoints(folder / name).items()
                if re.fullmatch(r'(epoch|iter)_\d+\.pth', file)
            ),
            default=0,
        )
        for name in trainings(folder)
    }


def resumed_from(folder, since):
    """Return where each training that ran after a time went on, in iterations."""
    places = {}
    for name in trainings(folder):
        for log in (folder / name).glob('*/*.log'):
            text = log.read_text(errors='replace')
            if log.stat().st_mtime >= since and 'Checkpoints will be saved' in text:
                place = re.findall(r'resumed epoch: \d+, iter: (\d+)', text)
                places[str(name)] = int(place[-1]) if place else 0
    return places


def outcome(folder):
    """Return what is compared: weights and states of each training, and its log."""
    from mmkd.visualization.run_log import ASIDE, RunLog

    result = {}
    for name in trainings(folder):
        states = checkpoints(folder / name)
        for state in states.values():
            hub = state.pop('message_hub')
            meta = state.pop('meta')
            state['at'] = meta['epoch'], meta['iter']
            state['best'] = hub['runtime_info'].get('best_score')
            state['logged'] = {
                key: [values.tolist() for values in history.data]
                for key, history in hub['log_scalars'].items()
                if key.split('/')[-1] not in ASIDE
            }
        curves = RunLog(folder / name).curves
        log = {key: curves[key] for key in sorted(curves) if key not in ASIDE}
        result[str(name)] = dict(states=dict(sorted(states.items())), log=log)
    for path in (folder / 'report.json', *folder.rglob('result.json')):
        if path.exists():
            result[path.name] = figures(json.loads(path.read_text()))
    return result


def figures(value):
    """Return what of a report does not depend on the time."""
    aside = ('ms per image', 'wall_seconds', 'date', 'jobs', 'revisions')
    if isinstance(value, dict):
        return {key: figures(each) for key, each in value.items() if key not in aside}
    return value


def differences(one, other, where=''):
    """Give the places where nested states are not the same, bit for bit."""
    import torch

    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            if key not in one or key not in other:
                run = 'killed' if key in other else 'undisturbed'
                yield f'{where}/{key} in the {run} run only'
            else:
                yield from differences(one[key], other[key], f'{where}/{key}')
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            yield f'{where}: {len(one)} and {len(other)}'
        for index, pair in enumerate(zip(one, other)):
            yield from differences(*pair, f'{where}/{index}')
    elif isinstance(one, torch.Tensor):
        if not torch.equal(one, other):
            yield where
    elif one != other:
        yield f'{where}: {one} and {other}'
