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
)


def misfit(wanted: Collection[str], names: Collection[str]) -> str:
    """Say what the names in a checkpoint have too much, or lack.

    Args:
        wanted (Collection[str]): Names in the network's state dict.
        names (Collection[str]): Names in the checkpoint.

    Returns:
        str: A clause with what to do; empty where the names do not show it.
    """
    wanted, names = set(wanted), set(names)
    most = len(names) / 2
    if len(wanted & names) > most:
        return ''
    extra, count = _before(names, wanted)
    if count > most:
        return f'its names begin with {extra!r}: save them without'
    lacking, count = _before(wanted, names)
    whose = [
        f'they are as in {library}: {advice}'
        for library, (pattern, advice) in LIBRARIES.items()
        if any(re.search(pattern, name) for name in names)
    ][:1]
    if count > most:
        whose = [f'its names lack {lacking!r} in front: save them with it', *whose]
    return '; '.join(whose)


def _before(longer, shorter):
    """What most often comes before those of some names that are among the others."""
    found = Counter()
    for name in longer:
        parts = name.split('.')
        for cut in range(1, len(parts)):
            if '.'.join(parts[cut:]) in shorter:
                found['.'.join(parts[:cut]) + '.'] += 1
    return max(found.items(), key=lambda item: item[1], default=('', 0))
