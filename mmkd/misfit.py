"""Why the names in a checkpoint are not those of a network, as far as they show it."""

import re
from collections import Counter
from typing import Collection

#: How other libraries name a network's weights, and how it is used here.
LIBRARIES = dict(
    torchvision=(
        r'^(layer\d\.\d|features\.\d|encoder\.layers\.encoder_layer_\d)',
        "to mmpretrain's ResNet put 'backbone.' before all and 'head.' before 'fc.'",
    ),
    HuggingFace=(
        r'(^|\.)encoder\.layers?\.\d+\.',
        "build it whole, as type='HuggingFaceClassifier'",
    ),
    timm=(
        r'^((blocks|stages|layers)\.\d|patch_embed\.proj\.|conv_stem\.)',
        "build it whole, as type='TimmClassifier'",
    ),
    detectron2=(
        r'^(backbone\.(bottom_up|fpn_)|proposal_generator\.|roi_heads\.|res[2-5]\.)',
        "convert it as mmdet's tools/model_converters/detectron2_to_mmdet.py does",
    ),
)
#: How one network is taken out of a file of several.
CHOOSE = 'give prefix={}'
#: Of how many prefixes the names are said to begin with.
MOST = 4


def misfit(
    wanted: Collection[str],
    names: Collection[str],
    choose: str = CHOOSE,
    under: str = '',
) -> str:
    """Say what the names in a checkpoint have too much, or lack.

    Args:
        wanted (Collection[str]): Names in the network's state dict.
        names (Collection[str]): Names in the checkpoint.
        choose (str): How to take those that begin with what is put in for ``{}``.
        under (str): What was taken off the front of all names in the checkpoint.

    Returns:
        str: A clause with what to do; empty where the names do not show it.
    """
    wanted, names = set(wanted), set(names)
    most = len(names) / 2
    before = _before(names - wanted, wanted)
    # Those of one of several networks in a file may be few of all names.
    few = min(most, len(wanted) / 2)
    wraps = [(under + prefix, count) for prefix, count in before if count > few][:MOST]
    if wraps:
        choose = choose.format(' or '.join(repr(prefix) for prefix, _ in wraps))
        known = len(wanted)
        held = ' and '.join(f'{prefix!r} ({n} of {known})' for prefix, n in wraps)
        if len(wanted & names) > few:
            return f'others of its names begin with {held}: {choose} or save one alone'
        return f'its names begin with {held}: {choose} or save them without'
    if len(wanted & names) > most:
        return ''
    lacking, count = next(iter(_before(wanted, names)), ('', 0))
    whose = [
        f'they are as in {library}: {advice}'
        for library, (pattern, advice) in LIBRARIES.items()
        if any(re.search(pattern, name) for name in names)
    ][:1]
    if count > most:
        whose = [f'its names lack {lacking!r} in front: save them with it', *whose]
    return '; '.join(whose)


def _before(longer, shorter):
    """Count what comes before those of some names that are among the others."""
    found = Counter()
    for name in longer:
        parts = name.split('.')
        for cut in range(1, len(parts)):
            if '.'.join(parts[cut:]) in shorter:
                found['.'.join(parts[:cut]) + '.'] += 1
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))
