"""Detectors on COCO's format: by hand, and against mmdet's CocoMetric."""

import copy
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from mmdet.evaluation import CocoMetric

from mmkd.analysis.detection.boxes import objects, read_predictions, read_truth
from mmkd.analysis.detection.confusion import detection_confusion, most_confused
from mmkd.analysis.detection.errors import detection_errors
from mmkd.analysis.detection.report import write_detection_report
from mmkd.analysis.detection.scores import detection_scores
from mmkd.errors import ConfigError, DataError
from mmkd.visualization import read_artifacts

ROOT = Path(__file__).resolve().parents[2]
CAT, DOG, COW = 3, 7, 9  # category ids
NAMES = {CAT: 'cat', DOG: 'dog', COW: 'cow'}
BOX = [100, 100, 40, 40]


def box(x, category, image=1, **more):
    """A square of 40 pixels, or BOX moved to the right by x of them."""
    moved = [BOX[0] + x, *BOX[1:]]
    return dict(image_id=image, category_id=category, bbox=moved, **more)


def truth_of(*boxes, images=(1, 2), names=NAMES):
    boxes = [
        dict(dict(id=index, area=1600, iscrowd=0), **entry)
        for index, entry in enumerate(boxes)
    ]
    return dict(
        images=[dict(id=id, width=640, height=480) for id in images],
        annotations=boxes,
        categories=[dict(id=id, name=name) for id, name in names.items()],
    )


def errors_of(truth, predictions, **kwargs):
    truth = read_truth(truth)
    counts = detection_errors(truth, read_predictions(predictions, truth), **kwargs)
    return {k: n for k, n in counts['predictions'].items() if n}, tuple(
        counts['objects'].values()
    )


def confusion_of(truth, predictions, **kwargs):
    truth = read_truth(truth)
    return detection_confusion(
        truth, read_predictions(predictions, truth), **kwargs
    ).tolist()


# IoU of two squares of side 40, one of them moved by x: (40 - x) / (40 + x).
@pytest.mark.parametrize(
    'predictions, kinds, fates',
    [
        ([box(4, CAT, score=0.9)], {'right': 1}, (1, 0, 0)),
        ([box(4, DOG, score=0.9)], {'wrong class': 1}, (0, 1, 0)),
        ([box(20, CAT, score=0.9)], {'poorly localised': 1}, (0, 1, 0)),
        ([box(20, DOG, score=0.9)], {'wrong class, poorly localised': 1}, (0, 0, 1)),
        (
            [box(4, CAT, score=0.8), box(0, CAT, score=0.7)],
            {'right': 1, 'duplicate': 1},
            (1, 0, 0),
        ),
        ([box(36, CAT, score=0.9)], {'background': 1}, (0, 0, 1)),
        # About the bounds: IoU 0.54, 0.48, 0.11 and 0.096.
        ([box(12, CAT, score=0.9)], {'right': 1}, (1, 0, 0)),
        ([box(12, DOG, score=0.9)], {'wrong class': 1}, (0, 1, 0)),
        ([box(14, CAT, score=0.9)], {'poorly localised': 1}, (0, 1, 0)),
        ([box(32, CAT, score=0.9)], {'poorly localised': 1}, (0, 1, 0)),
        ([box(33, CAT, score=0.9)], {'background': 1}, (0, 0, 1)),
        ([box(0, CAT, image=2, score=0.9)], {'background': 1}, (0, 0, 1)),
        ([box(0, CAT, score=0.29)], {}, (0, 0, 1)),
        ([], {}, (0, 0, 1)),
        # A wrong class does not take the object from the right one, nor add to it.
        (
            [box(0, DOG, score=0.9), box(4, CAT, score=0.4)],
            {'right': 1, 'wrong class': 1},
            (1, 0, 0),
        ),
    ],
)
def test_kinds_by_hand(predictions, kinds, fates):
    assert errors_of(truth_of(box(0, CAT)), predictions) == (kinds, fates)


def test_the_first_kind_that_fits_counts():
    """As in TIDE: localisation before class before duplicate."""
    truth = truth_of(box(0, CAT), box(24, DOG))
    # IoU 0.43 with the cat and 0.67 with the dog; then 0.90 and 0.38.
    assert errors_of(truth, [box(16, CAT, score=0.9)])[0] == {'poorly localised': 1}
    truth = truth_of(box(0, CAT), box(4, DOG))
    predictions = [box(0, CAT, score=0.9), box(1, CAT, score=0.8)]
    assert errors_of(truth, predictions)[0] == {'right': 1, 'wrong class': 1}


def test_the_score_from_which_errors_count():
    truth = truth_of(box(0, CAT))
    predictions = [box(0, CAT, score=0.5), box(200, COW, score=0.1)]
    assert errors_of(truth, predictions, score=0.5)[0] == {'right': 1}
    assert errors_of(truth, predictions, score=0.1)[0] == {'right': 1, 'background': 1}


def test_confusion_by_hand():
    truth = truth_of(
        box(0, CAT), box(100, DOG), box(200, DOG), box(0, COW, image=2), box(300, COW)
    )
    predictions = [
        box(0, CAT, score=0.9),
        box(104, CAT, score=0.8),  # on a dog
        box(200, DOG, score=0.7),
        box(196, CAT, score=0.6),  # on a dog that is taken
        box(400, COW, score=0.5),  # on the background
        box(300, COW, score=0.2),  # not sure enough
    ]
    assert confusion_of(truth, predictions) == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 2],
        [1, 0, 1, 0],
    ]
    # The higher score wins, whatever its class.
    predictions = [box(0, DOG, score=0.9), box(0, CAT, score=0.8)]
    assert confusion_of(truth_of(box(0, CAT)), predictions) == [
        [0, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
    ]


def test_crowds_are_neither_objects_nor_errors():
    crowd = box(200, CAT, iscrowd=1, area=1600)
    truth = truth_of(box(0, CAT), crowd)
    on_crowd = [box(200, CAT, score=0.9), box(204, CAT, score=0.9)]
    assert errors_of(truth, on_crowd) == ({}, (0, 0, 1))
    assert confusion_of(truth, on_crowd) == confusion_of(truth, [])
    # Only for its class.
    other = [box(200, DOG, score=0.9)]
    assert errors_of(truth, other) == ({'background': 1}, (0, 0, 1))
    assert confusion_of(truth, other)[-1] == [0, 1, 0, 0]


def test_an_annotation_numbered_0_can_be_found():
    truth = read_truth(truth_of(box(0, CAT)))
    predictions = read_predictions([box(0, CAT, score=0.9)], truth)
    scores = detection_scores(truth, predictions)
    assert scores['overall']['AP'] == pytest.approx(1)
    assert scores['classes'] == pytest.approx(dict(cat=1))  # nothing of dog and cow
    assert 'AP large' not in scores['overall']


def test_what_is_given_stays_as_it_is():
    truth, predictions = truth_of(box(0, CAT)), [box(0, CAT, score=0.9)]
    before = copy.deepcopy((truth, predictions))
    errors_of(truth, predictions)
    index = read_truth(truth)
    detection_scores(index, read_predictions(predictions, index))
    assert (truth, predictions) == before


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """40 images; each object is found, shifted, taken for another or missed."""
    rng = np.random.default_rng(0)
    names = {id: f'class {id}' for id in range(2, 9)}  # nothing of the last
    boxes, predictions = [], []
    for image in range(1, 41):
        for _ in range(rng.integers(1, 9)):
            x, y, w, h = rng.uniform([0, 0, 15, 15], [400, 300, 160, 160])
            label = int(rng.integers(2, 8))
            shape = dict(image_id=image, category_id=label, bbox=[x, y, w, h])
            crowd = int(rng.random() < 0.1)
            boxes.append(dict(shape, area=w * h * 0.8, iscrowd=crowd))
            for _ in range(rng.integers(0, 3)):
                shift = rng.normal(0, 0.1, 4) * [w, h, w, h]
                guess = label if rng.random() < 0.7 else int(rng.integers(2, 9))
                moved = (np.abs([x, y, w, h] + shift)).tolist()
                shape = dict(image_id=image, category_id=guess, bbox=moved)
                predictions.append(dict(shape, score=float(rng.random())))
    truth = truth_of(*boxes, images=range(1, 41), names=names)
    for id, entry in enumerate(truth['annotations'], 1):
        entry['id'] = id
    folder = tmp_path_factory.mktemp('scenes')
    (folder / 'truth.json').write_text(json.dumps(truth))
    (folder / 'teacher.bbox.json').write_text(json.dumps(predictions))
    return folder


def test_figures_are_those_of_cocometric(scenes, tmp_path):
    predictions = json.loads((scenes / 'teacher.bbox.json').read_text())
    content = json.loads((scenes / 'truth.json').read_text())
    metric = CocoMetric(
        str(scenes / 'truth.json'), classwise=True, outfile_prefix=str(tmp_path / 'x')
    )
    ids = {entry['id']: i for i, entry in enumerate(content['categories'])}
    metric.dataset_meta = dict(classes=[e['name'] for e in content['categories']])
    for image in content['images']:
        mine = [entry for entry in predictions if entry['image_id'] == image['id']]
        boxes = torch.tensor([e['bbox'] for e in mine]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        instances = dict(
            bboxes=boxes,
            scores=torch.tensor([entry['score'] for entry in mine]),
            labels=torch.tensor([ids[e['category_id']] for e in mine], dtype=int),
        )
        sample = dict(img_id=image['id'], ori_shape=(480, 640))
        metric.process({}, [dict(sample, pred_instances=instances)])
    coco = metric.evaluate(len(content['images']))
    truth = read_truth(scenes / 'truth.json')
    scores = detection_scores(
        truth, read_predictions(str(tmp_path / 'x.bbox.json'), truth)
    )
    overall = [
        round(scores['overall'][name], 3)
        for name in ('AP', 'AP50', 'AP75', 'AP small', 'AP medium', 'AP large')
    ]
    keys = [f'coco/bbox_mAP{end}' for end in ('', '_50', '_75', '_s', '_m', '_l')]
    assert overall == [coco[key] for key in keys]
    assert 0.1 < overall[0] < 0.9 and len(set(overall)) == 6
    classes = {name: round(ap, 3) for name, ap in scores['classes'].items()}
    assert len(classes) == 6
    assert classes == {name: coco[f'coco/{name}_precision'] for name in classes}
    assert np.isnan(coco['coco/class 8_precision'])


def test_counts_add_up(scenes):
    truth = read_truth(scenes / 'truth.json')
    predictions = read_predictions(scenes / 'teacher.bbox.json', truth)
    errors = detection_errors(truth, predictions, score=0)
    matrix = detection_confusion(truth, predictions, score=0)
    number = len(objects(truth))
    predicted = sum(errors['predictions'].values())
    assert min(errors['predictions'].values()) > 0
    assert sum(errors['objects'].values()) == number < len(truth.anns)
    assert errors['objects']['found'] == errors['predictions']['right']
    assert matrix[:-1].sum() == number and matrix[:, :-1].sum() == predicted
    assert predicted < len(predictions.anns)  # some are on crowds
    assert matrix[6].sum() == 0 and matrix[-1, 6] > 0  # a class without objects


def test_most_confused_counts_both_directions():
    counts = np.diag([1, 9, 9, 1, 0])
    counts[0, 3] = 2
    counts[1, 0] = 1
    counts[2, 4] = counts[4, 2] = 8  # missed, and false: not a confusion
    before = counts.copy()
    assert most_confused([counts, counts], 2).tolist() == [0, 3]
    assert most_confused([counts], 9).tolist() == [0, 1, 2, 3]
    assert (counts == before).all()


def test_report_with_many_classes(tmp_path):
    """Of 120 classes, 119 have an object; the student takes 1 for 2, 3 for 4, ..."""
    names = {id: f'class {id}' for id in range(120)}
    images = range(1, 120)
    truth = read_truth(
        truth_of(*[box(0, i, image=i) for i in images], images=images, names=names)
    )
    good = [box(0, i, image=i, score=0.9) for i in images]
    bad = [dict(b, category_id=b['category_id'] + b['category_id'] % 2) for b in good]
    models = {
        'the teacher': read_predictions(good, truth),
        'student': read_predictions(bad[:60] + good[60:], truth),
    }
    made = write_detection_report(truth, models, tmp_path, 'scenes')
    read = read_artifacts(tmp_path)
    assert {a.name for a in made} == {path.stem for path in read}
    overall, classes, errors, _, confusion = made
    assert list(classes.rows)[0] == 'class 1' and len(classes.rows) == 119
    assert classes.rows['class 1']['student - the teacher'] == pytest.approx(-1)
    assert classes.rows['class 99']['student - the teacher'] == 0
    assert classes.values['gaps']['student']['class 1'] == pytest.approx(-1)
    assert '100 of 119 classes' in classes.title
    assert '1 classes without objects' in classes.about
    assert '25 most confused of 120 classes' in confusion.title
    assert confusion.rows['class 5 (1)']['class 6'] == 1
    # Class 26 is not drawn, but the row holds all its objects.
    assert confusion.rows['class 25 (1)']['other classes'] == 1
    assert len(confusion.rows) == 26
    for row in list(confusion.rows.values())[:-1]:
        assert sum(row.values()) == 1
    assert len(confusion.values['counts']) == 121
    assert overall.rows['the teacher']['AP large'] == '-'
    assert errors.rows['student']['wrong class'] == 30
    assert errors.rows['the teacher']['right'] == 119
    for path, artifact in read.items():
        assert imread(path.with_name(artifact.picture)).std() > 0
        assert 'NaN' not in path.read_text()


FINE = box(0, CAT, score=0.5)


@pytest.mark.parametrize(
    'predictions, words',
    [
        ({}, 'no COCO result file'),
        ([3], 'prediction 0 needs image_id, category_id, bbox, score, got 3'),
        ([FINE, dict(image_id=1)], 'prediction 1 needs'),
        ([dict(FINE, image_id=99)], 'the image_id 99 is not among those'),
        ([dict(FINE, image_id='1')], "the image_id '1' is not among those"),
        ([dict(FINE, image_id=[1])], r'the image_id \[1\] is not among those'),
        ([dict(FINE, category_id=0)], 'the category_id 0 is not among those'),
        ([dict(FINE, bbox=[1, 2, 3])], r'bbox must be .*, got \[1, 2, 3\]'),
        ([dict(FINE, bbox=[1, 2, -3, 4])], 'bbox must be'),
        ([dict(FINE, bbox=[1, 2, float('nan'), 4])], 'bbox must be'),
        ([dict(FINE, score=None)], 'score must be a number, got None'),
        ([dict(FINE, score=float('inf'))], 'score must be a number, got inf'),
    ],
)
def test_bad_predictions_are_named(predictions, words):
    truth = read_truth(truth_of(box(0, CAT)))
    with pytest.raises(DataError, match=words):
        read_predictions(predictions, truth)


def test_bad_annotations_are_named():
    good = truth_of(box(0, CAT))
    crowd = truth_of(box(0, CAT, iscrowd=1))
    for truth, words in [
        ([FINE], 'no COCO annotation file'),
        (dict(good, images=None), 'no COCO annotation file'),
        (dict(good, annotations=[FINE]), 'annotation 0 needs .*area'),
        (dict(good, images=[]), 'the image_id 1 is not among'),
        (dict(good, images=[{}]), 'images: entry 0 has no id'),
        (dict(good, categories=[dict(id=3)]), 'categories: entry 0 has no name'),
        (dict(good, images=good['images'] * 2), 'the id 1 is there 2 times'),
        (dict(good, annotations=[]), 'annotates no object'),
        (crowd, 'annotates no object'),
    ]:
        with pytest.raises(DataError, match=words):
            read_truth(truth)


def test_bad_files_names_and_scores(tmp_path):
    (tmp_path / 'broken.json').write_text('[1, 2')
    (tmp_path / 'x.pkl').write_bytes(b'')
    for name, words in [
        ('none.json', 'is not there'),
        ('broken.json', 'is no JSON'),
        ('x.pkl', 'test_evaluator.outfile_prefix'),
    ]:
        with pytest.raises(DataError, match=words):
            read_truth(tmp_path / name)
    truth = read_truth(truth_of(box(0, CAT)))
    models = dict(student=read_predictions([], truth))
    with pytest.raises(ConfigError, match='1.5 is not from 0 to 1'):
        write_detection_report(truth, models, tmp_path, 'scenes', score=1.5)
    models = {'../student': models['student']}
    with pytest.raises(ConfigError, match="'../student' of a model becomes part"):
        write_detection_report(truth, models, tmp_path, 'scenes')


def run_tool(monkeypatch, *arguments):
    path = ROOT / 'tools/analysis/detection_errors.py'
    monkeypatch.setattr(sys, 'argv', [path.name, *map(str, arguments)])
    runpy.run_path(str(path), run_name='__main__')


def test_the_tool(scenes, tmp_path, monkeypatch, capsys):
    (tmp_path / 'none.json').write_text('[]')
    models = (
        f'teacher={scenes / "teacher.bbox.json"}',
        f'untrained={tmp_path / "none.json"}',
    )
    run_tool(monkeypatch, scenes / 'truth.json', *models, '--out', tmp_path / 'out')
    printed = capsys.readouterr().out
    assert 'untrained has no predictions: its AP is 0' in printed
    assert '| untrained | 0.000 |' in printed
    names = {path.stem for path in read_artifacts(tmp_path / 'out')}
    kinds = {'ap', 'class_ap', 'errors'}
    kinds |= {f'confusion_{name}' for name in ('teacher', 'untrained')}
    assert names == {f'detection_{kind}' for kind in kinds}


@pytest.mark.parametrize(
    'predictions, words',
    [
        (['teacher'], "as NAME=PATH, got 'teacher'"),
        (['a=x.json', 'a=y.json'], "the name 'a' is given twice"),
        (['a=x.pkl'], 'x.pkl is a pickle'),
    ],
)
def test_the_tool_refuses(scenes, tmp_path, monkeypatch, predictions, words):
    arguments = scenes / 'truth.json', *predictions, '--out', tmp_path / 'out'
    with pytest.raises(SystemExit) as stopped:
        run_tool(monkeypatch, *arguments)
    assert stopped.value.code.startswith('error: ') and words in stopped.value.code
    assert not (tmp_path / 'out').exists()
