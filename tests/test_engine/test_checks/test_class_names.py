"""A label has one name: in the config, the file, the training and the validation."""

import json
import re

import pytest

from mmkd.engine.checks.coco_file import categories_of
from mmkd.engine.checks.opening import check_contents
from mmkd.errors import CheckpointError, DataError
from mmkd.models.guards import check_classes
from mmkd.registry import DATASETS

CLASSES = ('cat', 'dog', 'hen')


def refusal(cfg):
    with pytest.raises(DataError) as caught:
        check_contents([cfg])
    message = str(caught.value)
    assert '\n' not in message and message.endswith('.')
    return message


def test_right_names_pass(coco):
    check_contents([coco()])


def test_a_subset_in_the_files_order_passes(coco):
    check_contents([coco(classes=('cat', 'hen'))])


@pytest.mark.parametrize(
    'classes, label, name',
    [
        (('dog', 'cat', 'hen'), 0, 'cat'),
        (('cow', 'cat', 'dog', 'hen'), 0, 'cat'),
        (('cat', 'cow', 'hen'), 1, 'hen'),
        (('hen', 'cat'), 0, 'cat'),
    ],
)
def test_names_in_another_order_than_the_files(coco, classes, label, name):
    message = refusal(coco(classes=classes))
    assert f'label {label} is {name!r}' in message
    # The advice is right: with it, the check passes.
    order = re.search(r'metainfo=dict\(classes=(\(.*?\))\)', message)
    if order is None:
        assert "give the file a category 'cow' at its place" in message
    check_contents([coco(classes=eval(order[1]) if order else ('cat', 'dog', 'hen'))])


def test_one_text_is_no_names(coco):
    cfg = coco()
    cfg.train_dataloader.dataset.metainfo.classes = 'cat'
    assert "is one text, 'cat', but takes a tuple of names: write ('cat',)." in (
        refusal(cfg)
    )


def test_numbers_are_no_names(coco, content):
    data = content(classes=('1', '2'))
    message = refusal(coco(train=data, val=data, classes=(1, 2)))
    assert '2 classes (1 (no text), 2 (no text))' in message


def test_the_order_is_the_files_not_that_of_ids(coco, content):
    data = content()
    data['categories'].reverse()
    cfg = coco(train=data, val=data)
    assert "label 0 is 'hen' (id 3)" in refusal(cfg)
    check_contents([coco(train=data, val=data, classes=('hen', 'dog', 'cat'))])


def test_two_categories_of_one_name(coco, content):
    data = content()
    data['categories'][2]['name'] = 'cat'
    message = refusal(coco(train=data, classes=('cat', 'dog')))
    assert "2 categories named 'cat' (ids 1, 3)" in message


def test_validation_under_other_names(coco, content):
    data = content(classes=('dog', 'cat', 'hen'))
    message = refusal(coco(val=data, val_classes=('dog', 'cat', 'hen')))
    assert "val_dataloader: label 0 is 'dog', but 'cat' in train_dataloader" in message


def test_an_evaluator_of_another_file(coco, content, tmp_path):
    cfg = coco()
    other = tmp_path / 'other.json'
    other.write_text(json.dumps(content(classes=('dog', 'cat', 'hen'))))
    cfg.val_evaluator.ann_file = str(other)
    assert "val_evaluator: label 0 is 'dog'" in refusal(cfg)


@DATASETS.register_module()
class NamesOnly(list):
    """Has names, and is no data set of mmdet's."""

    def __init__(self, classes):
        super().__init__([0])
        self.metainfo = dict(classes=classes)


def test_other_data_sets_pass(coco):
    cfg = coco()
    for loader in ('train_dataloader', 'val_dataloader'):
        cfg[loader].dataset = dict(type='mmkd.NamesOnly', classes=('b', 'a'))
    cfg.val_evaluator = dict(type='Other')
    check_contents([cfg])


def test_categories_are_read_without_the_rest(tmp_path, content):
    data = content()
    path = tmp_path / 'set.json'
    data['info'] = {'note': 'the "categories": [1, 2] are below', 'categories': [1]}
    data = {key: data[key] for key in ('info', 'annotations', 'images', 'categories')}
    for indent in (None, 1):
        path.write_text(json.dumps(data, indent=indent))
        assert categories_of(path) == data['categories']
    many = [dict(id=i, name=f'{i:01000d}') for i in range(100)]
    path.write_text(json.dumps(dict(data, categories=many)))
    assert categories_of(path) == many
    for text in ('', '{}', 'no', '{"categories": []}', '{"categories": [{"id"'):
        path.write_text(text)
        assert categories_of(path) == []


@pytest.fixture
def trained_on():
    """Let a Runner have published the training set's names."""
    from mmengine.visualization import Visualizer

    visualizer = Visualizer.get_instance('names')

    def publish(classes):
        visualizer.dataset_meta = dict(classes=classes)

    return publish


def test_a_teacher_of_another_order_needs_another_order_of_the_file(trained_on):
    trained_on(CLASSES)
    check_classes(CLASSES, 'teacher')
    with pytest.raises(CheckpointError, match="file's categories") as caught:
        check_classes(('dog', 'cat', 'hen'), 'teacher')
    assert "class 0 is 'dog' to it and 'cat'" in str(caught.value)
    with pytest.raises(CheckpointError, match='use a teacher of this data') as caught:
        check_classes(('cow', 'cat', 'hen'), 'teacher')
    assert "file's categories" not in str(caught.value)
