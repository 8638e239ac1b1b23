"""Nothing trains on nothing: counts are said before the first iteration."""

import numpy as np
import pytest
from mmengine.config import Config

from mmkd.engine.checks.opening import check_contents
from mmkd.errors import DataError
from mmkd.registry import DATASETS, TRANSFORMS

NAN = float('nan')


def refusal(cfg):
    with pytest.raises(DataError) as caught:
        check_contents([cfg])
    message = str(caught.value)
    assert '\n' not in message and message.endswith('.')
    return message


@pytest.fixture(params=[False, True], ids=['all', 'filtered'])
def filtered(request):
    """As a config keeps images without boxes, and as stock ones drop them."""

    def change(cfg):
        if request.param:
            empty = dict(filter_empty_gt=True, min_size=4)
            cfg.train_dataloader.dataset.filter_cfg = empty
        return cfg

    return change


def changed(data, **values):
    for annotation in data['annotations']:
        annotation.update(values)
    return data


@pytest.mark.parametrize(
    'values, reason',
    [
        (dict(bbox=[2, 2, 0, 5]), '12 without area'),
        (dict(bbox=[2, NAN, 5, 5]), '12 without area'),
        (dict(bbox=[2, 2, NAN, 5]), '12 without area'),
        (dict(bbox=[90, 90, 5, 5]), '12 without area'),
        (dict(area=0), '12 without area'),
        (dict(iscrowd=1), '12 crowds or ignored'),
        (dict(ignore=1), '12 crowds or ignored'),
        (dict(image_id=77), '12 of images that it lacks'),
        (dict(category_id=77), '12 of other categories'),
    ],
)
def test_no_box_to_train_on(coco, content, filtered, values, reason):
    message = refusal(filtered(coco(train=changed(content(), **values))))
    assert '0 of 4 images have a box of the 3 classes (cat, dog, hen)' in message
    assert reason in message


def test_categories_that_do_not_occur(coco, filtered):
    message = refusal(filtered(coco(classes=('Cat', 'Dog'))))
    assert '0 of 4 images have a box of the 2 classes (Cat, Dog)' in message
    assert 'its categories are cat, dog, hen' in message


def test_no_annotations(coco, content, filtered):
    data = dict(content(), annotations=[])
    assert 'has no annotations' in refusal(filtered(coco(train=data)))


def test_a_class_without_a_box_is_one_line(coco, content, warnings):
    data = content()
    data['annotations'] = [
        each for each in data['annotations'] if each['category_id'] != 2
    ]
    check_contents([coco(train=data)])
    (line,) = warnings()
    assert 'no box of 1 of 3 classes in 4 images: dog' in line


def test_boxes_of_part_of_the_images_are_enough(coco, content, warnings):
    data = content()
    data['annotations'] = data['annotations'][:3]
    check_contents([coco(train=data)])
    assert not warnings()


def test_more_labels_than_the_head_has(coco):
    cfg = coco()
    cfg.model.roi_head.bbox_head.num_classes = 2
    message = refusal(cfg)
    assert 'model.roi_head.bbox_head.num_classes=2 allows 0 to 1' in message
    assert 'set it to 3' in message


BUILT = []


@DATASETS.register_module()
class LabelledAs:
    """Images of which only labels are known."""

    metainfo = dict(classes=('cat', 'dog'))

    def __init__(self, labels):
        self.labels = labels

    def full_init(self):
        BUILT.append(self)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.labels[index]

    def get_data_info(self, index):
        return dict(gt_label=self.labels[index])


def classifier(labels, **wrapper):
    dataset = dict(type='mmkd.LabelledAs', labels=labels)
    dataset = dict(wrapper, dataset=dataset) if wrapper else dataset
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(type='ImageClassifier', head=dict(num_classes=2)),
            train_dataloader=dict(dataset=dataset),
        )
    )


@pytest.mark.parametrize('label', [2, -1, np.int64(9), [0, 2]])
def test_a_label_that_the_head_lacks(label):
    message = refusal(classifier([0, 1, label]))
    assert 'model.head.num_classes=2 allows 0 to 1' in message


def test_labels_of_a_text_are_no_faults(coco):
    cfg = coco()
    cfg.model.roi_head.bbox_head.num_classes = 2
    for loader in ('train_dataloader', 'val_dataloader'):
        cfg[loader].dataset.return_classes = True
    check_contents([cfg])


def test_labels_of_the_head_pass(warnings):
    check_contents([classifier([0, 1, np.int64(1), np.array([0, 1])])])
    check_contents([classifier([0, 1], type='RepeatDataset', times=2)])
    for unknown in (None, 0.5, {'task': 3}, []):  # self-supervised, regression, ...
        check_contents([classifier([unknown, unknown])])
    assert not warnings()


def test_a_class_without_an_image_is_one_line(warnings):
    check_contents([classifier([0, 0])])
    (line,) = warnings()
    assert 'no label of 1 of 2 classes in 2 images: dog' in line


def test_data_that_configs_share_are_looked_at_once():
    BUILT.clear()
    check_contents([classifier([0, 1]), classifier([0, 1]), classifier([1, 0])])
    assert len(BUILT) == 2


@TRANSFORMS.register_module()
class NoneAtFirst:
    """A step that drops samples, as RTMDet's does that crops all boxes away."""

    def __init__(self, times):
        self.left = times

    def __call__(self, results):
        self.left -= 1
        return None if self.left >= 0 else results


@pytest.mark.parametrize('times', [1, 3, 4])
def test_what_a_pipeline_drops_is_drawn_again(coco, times):
    cfg = coco()
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline.insert(0, dict(type='mmkd.NoneAtFirst', times=times))
    dataset.max_refetch = 3
    if times == 4:  # it would end training as well
        assert 'Cannot find valid image after 3' in refusal(cfg)
    else:
        check_contents([cfg])
