"""Scenes of scattered handwritten digits, with their boxes.

scikit-learn carries 1797 handwritten digits of 8x8 pixels with it. Scattered at
several sizes, contrasts and polarities over a textured background, they make a
detection set that needs no download and trains in minutes.
"""

import json
from pathlib import Path

import cv2
import numpy as np

#: Raised whenever the same parameters would give other pixels or boxes.
VERSION = 1
CLASSES = tuple('0123456789')
#: Share of the digits kept for validation. The set is ordered by writer, so its
#: tail holds other hands than its head.
VAL_SHARE = 0.2
#: Opacity from which a pixel counts as ink.
INK = 0.3


def write_scenes(root: Path, params: dict) -> None:
    """Write images and annotations in COCO's format.

    Args:
        root: An empty folder.
        params: The parameters of :func:`mmkd.datasets.make_digits`, by name.

    Raises:
        OSError: A file could not be written.
    """
    from sklearn.datasets import load_digits  # slow to import, needed once

    bunch = load_digits()
    glyphs, labels = bunch.images / bunch.images.max(), bunch.target
    held = 2 if params.get('hold_out') else 1
    bounds = [round(len(glyphs) * (1 - VAL_SHARE * n)) for n in (held, held - 1)]
    pools = dict(train=range(bounds[0]), val=range(*bounds))
    (root / 'annotations').mkdir()
    for split, pool in pools.items():
        (root / split).mkdir()
        images, annotations = [], []
        for index in range(params[f'num_{split}']):
            # A generator for each scene: more scenes leave the first ones alone.
            rng = np.random.default_rng([params['seed'], split == 'val', index])
            scene, placed = _compose(rng, glyphs, pool, params)
            name = f'{index:05d}.png'
            # Plainly: the folder is renamed once it is whole.
            (root / split / name).write_bytes(cv2.imencode('.png', scene)[1])
            side = params['size']
            images.append(dict(id=index, file_name=name, width=side, height=side))
            for digit, (x, y, w, h) in placed:
                annotations.append(
                    dict(
                        id=len(annotations) + 1,  # pycocotools takes 0 for no match
                        image_id=index,
                        category_id=int(labels[digit]),
                        bbox=[x, y, w, h],
                        area=w * h,
                        iscrowd=0,
                        digit_index=digit,
                    )
                )
        coco = dict(
            info=dict(description='scikit-learn digits in scenes', **params),
            images=images,
            annotations=annotations,
            categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES)],
        )
        path = root / 'annotations' / f'instances_{split}.json'
        path.write_text(json.dumps(coco))


def _compose(rng, glyphs, pool, params) -> tuple[np.ndarray, list]:
    """One scene: a uint8 image (size, size) and its (digit, xywh box) pairs."""
    side = params['size']
    ground = rng.uniform(60, 195)
    scene = ground + rng.normal(0, rng.uniform(2, 8), (side, side))
    for cells in (4, 16):  # blotches and a finer grain
        texture = rng.normal(0, rng.uniform(2, 10), (cells, cells))
        scene += cv2.resize(texture, (side, side), interpolation=cv2.INTER_CUBIC)
    placed: list = []
    for _ in range(rng.integers(*params['num_digits'], endpoint=True)):
        digit = int(rng.choice(pool))
        for _ in range(50):  # until there is room
            ink = _enlarge(
                glyphs[digit], rng.integers(*params['digit_size'], endpoint=True)
            )
            h, w = ink.shape
            x, y = (int(rng.integers(side - n, endpoint=True)) for n in (w, h))
            if all(_overlap((x, y, w, h), box) < 0.15 for _, box in placed):
                break
        else:
            continue
        sign = 1 if rng.random() < (255 - ground) / 255 else -1
        tone = ground + sign * rng.uniform(60, 130)
        area = scene[y : y + h, x : x + w]
        area += ink * (tone - area)
        placed.append((digit, (x, y, w, h)))
    return scene.clip(0, 255).round().astype(np.uint8), placed


def _enlarge(glyph: np.ndarray, height: int) -> np.ndarray:
    """A glyph (8, 8) as a smooth opacity of this height, cut to its ink."""
    scale = height / len(glyph)
    smooth = cv2.resize(
        np.pad(glyph, 1), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC
    )
    ys, xs = np.nonzero(smooth >= INK)
    return smooth[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].clip(0, 1)


def _overlap(a: tuple, b: tuple) -> float:
    """Intersection of two xywh boxes as a share of the smaller one."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(w, 0) * max(h, 0) / min(a[2] * a[3], b[2] * b[3])
