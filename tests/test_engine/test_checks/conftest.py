"""Tiny data sets, right but for what a test changes."""

import json
import logging

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image

from mmkd.testing import toy_detector

CLASSES = ('cat', 'dog', 'hen')
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs'),
]


@pytest.fixture
def content():
    """Make what a file in COCO's format holds: a dict to change and write."""
    return _content


def _content(images=4, classes=CLASSES):
    """A file in COCO's format: each image has a box of each class."""
    boxes = [(image, label) for image in range(images) for label in range(len(classes))]
    return dict(
        images=[
            dict(id=i, file_name=f'{i}.png', width=48, height=32) for i in range(images)
        ],
        annotations=[
            dict(
                id=number,
                image_id=image,
                category_id=label + 1,
                bbox=[2, 2, 20, 20],
                area=400,
                iscrowd=0,
            )
            for number, (image, label) in enumerate(boxes, 1)
        ],
        categories=[dict(id=i, name=name) for i, name in enumerate(classes, 1)],
    )


@pytest.fixture
def coco(tmp_path):
    """Write a set, and return the config of a detector that trains on it."""

    def write(train=None, val=None, classes=CLASSES, val_classes=None, images=4):
        for index in range(images):
            pixels = np.full((32, 48, 3), 10 * index, np.uint8)
            Image.fromarray(pixels).save(tmp_path / f'{index}.png')
        for name, data in dict(train=train, val=val).items():
            text = data if isinstance(data, str) else json.dumps(data or _content())
            (tmp_path / f'{name}.json').write_text(text)

        def loader(name, names, **kwargs):
            dataset = dict(
                type='CocoDataset',
                data_root=str(tmp_path),
                ann_file=f'{name}.json',
                data_prefix=dict(img=''),
                metainfo=dict(classes=names),
                pipeline=PIPELINE,
                **kwargs,
            )
            return dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dataset,
            )

        return Config(
            dict(
                default_scope='mmdet',
                model=toy_detector(classes=len(classes)),
                train_dataloader=loader('train', classes),
                val_dataloader=loader('val', val_classes or classes, test_mode=True),
                val_evaluator=dict(
                    type='CocoMetric', ann_file=str(tmp_path / 'val.json')
                ),
                train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
                val_cfg=dict(type='ValLoop'),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
                work_dir=str(tmp_path / 'work'),
            )
        )

    return write


@pytest.fixture
def warnings(caplog):
    """What MMEngine's logger warns of."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]
    logger.removeHandler(caplog.handler)
