"""Every shipped config: it reads, builds, takes a step, and compares fairly."""

import functools
import importlib
import re
from pathlib import Path

import mmengine
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper

import mmkd  # noqa: F401  (mmdet's imports lean on mmkd.compat)
from mmkd.benchmark.metric import metric_of
from mmkd.benchmark.plan import _name
from mmkd.configs import build_model
from mmkd.models import losses
from mmkd.models.renormalise import InputStats
from mmkd.models.schedule import Progress
from mmkd.testing import classification_batch, detection_batch, shrink

CONFIGS = Path(__file__).parents[2] / 'configs'
PATHS = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.relative_to(CONFIGS).parts
)
#: What a method may change about its student, beside what the Distiller adds: the
#: weight of the cross-entropy.
CE_WEIGHT = 'head.loss.loss_weight'
CE_WEIGHTS = {
    # The recipe is half cross-entropy, half KD.
    'imagenet/kd_r34_r18.py': 0.5,
    'imagenet/kd_r50_mv1.py': 0.5,
    'imagenet/lakd_r34_r18.py': 0.9,
    'imagenet/lskd_r34_r18.py': 0.1,
    'imagenet/lskd_r50_mv1.py': 0.1,
    'imagenet/sdkd_r34_r18.py': 0.1,
    'imagenet/sdkd_r50_mv1.py': 0.1,
    'cifar100/luminet_resnet32x4_resnet8x4.py': 2.0,
    'cifar100/luminet_vgg13_mobilenetv2.py': 2.0,
    'cifar100/luminet_resnet50_mobilenetv2.py': 2.0,
}


#: MMEngine reads all metafiles of a package for every base in it: 0.3 s each.
load_once = functools.cache(mmengine.load)


@functools.cache
def read(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmengine.config.utils, 'load', load_once)
        return Config.fromfile(CONFIGS / path)


METHODS = [path for path in PATHS if read(path).model.type == 'mmkd.Distiller']
CIFAR = [path for path in METHODS if path.startswith('cifar100')]
for method, weight in dict(
    kd=0.1, lskd=0.1, ctkd=0.1, mlkd=0.2, sdkd=0.1, lakd=0.9
).items():
    CE_WEIGHTS.update({path: weight for path in CIFAR if f'/{method}_' in path})
#: What MLKD changes beside its student: the two views, and how long and fast it learns.
MLKD = {'data_preprocessor.type', 'optim_wrapper.optimizer.lr', 'train_cfg.max_epochs'}
#: What FGD and MGD change, whose authors clip gradients.
CLIP = {f'optim_wrapper.clip_grad.{name}' for name in ('max_norm', 'norm_type')}
#: Variables that files use for themselves, or that say how a table names them.
VARIABLES = {
    'benchmark',
    'student',
    'losses',
    'method',
    'on',
    'hint',
    'adapter',
    'levels',
    'floor',
}
#: By method, the pairs whose values nobody published; beside whole methods.
UNPUBLISHED = dict(
    luminet=('resnet56', 'resnet110', 'wrn16-2', 'resnet32x4_shufflenet'),
    reviewkd=('vgg13', 'resnet50'),
    lskd=('shufflenetv1',),
    ofa=('',),
    sdkd=('resnet56', 'resnet110', 'wrn16-2', 'wrn40-1'),
    sddkd=('resnet56', 'resnet110', 'wrn16-2', 'wrn40-1'),
    unikd=('shufflenet', 'mobilenet'),
)
#: LumiNet's alpha and tau in the scripts that its authors released.
LUMINET = {
    'resnet32x4_resnet8x4': (33, 4),
    'vgg13_vgg8': (70, 8),
    'wrn40-2_wrn40-1': (75, 8),
    'wrn40-2_shufflenetv1': (35, 4),
    'vgg13_mobilenetv2': (70, 8),
    'resnet50_mobilenetv2': (70, 8),
}
PUBLISHED = [path for path in METHODS if path.startswith(('coco', 'imagenet'))]
COCO = [path for path in PATHS if path.startswith('coco')]
#: Pairs of detectors of which figures are published.
FIGURES = [p for p in COCO if p not in METHODS and 'published' in read(p)]


def base_of(path):
    """Path of the config that a method's config is a diff over: its pair.

    Of a student alone, the stock config that it is a diff over.
    """
    if path in CIFAR:
        return re.sub(r'/[a-z0-9]+_', '/none_', path)
    base = re.search(r"^_base_ = '(.+)'$", (CONFIGS / path).read_text(), re.M)[1]
    if not base.startswith('./'):
        return base
    base = (Path(path).parent / base).as_posix()
    return base_of(base) if base in METHODS else base


def build(path):
    """A shrunken model after one step: it, its log, config and idle parameters."""
    cfg = shrink(read(path))
    torch.manual_seed(0)
    model = build_model(cfg)
    network = cfg.model.get('student', cfg.model)
    if 'head' in network:
        classes = network.head.num_classes
        size = 32 if path.startswith('cifar100') else 64
        batch = classification_batch(classes=classes, size=size)
        for term in getattr(model, 'terms', ()):
            term.loss.see_training_set(torch.arange(1000) % classes)
    else:
        of_rois = network.get('roi_head', {})
        heads = network.get('bbox_head') or of_rois.bbox_head
        head = heads[0] if isinstance(heads, list) else heads
        masks = 'mask_head' in of_rois
        batch = detection_batch(classes=head.num_classes, masks=masks)
        # As in a Runner; YOLOX's preprocessor counts.
        MessageHub.get_current_instance().update_info('iter', 0)
    idle = {name for name, value in model.named_parameters() if value.requires_grad}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.register_hook(lambda grad, name=name: idle.discard(name))
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    return model, model.train_step(batch, optim_wrapper), cfg, idle


@functools.cache
def shapes_alone(path):
    """Shapes of what the student's own config saves."""
    state = build_model(shrink(read(path))).state_dict()
    return {key: value.shape for key, value in state.items()}


def flat(spec, prefix=''):
    """Leaves of nested dicts and lists by dotted key."""
    if not isinstance(spec, (dict, list, tuple)) or not spec:
        return {prefix[:-1]: spec}
    leaves = {}
    for key, value in spec.items() if isinstance(spec, dict) else enumerate(spec):
        leaves.update(flat(value, f'{prefix}{key}.'))
    return leaves


def changes(new, old):
    """Leaves of ``new`` that are not so in ``old``, and those that it lacks."""
    new, old = flat(new), flat(old)
    changed = {key: new[key] for key in new if key not in old or new[key] != old[key]}
    return changed, set(old) - set(new)


@functools.cache
def published(package, folder):
    """Entries of a model zoo's folder by the address of their weights."""
    configs = Path(importlib.import_module(package).__file__).parent / '.mim/configs'
    models = mmengine.load(configs / folder / 'metafile.yml')['Models']
    return {model.get('Weights'): model for model in models}


def test_the_search_finds_the_configs():
    assert 'coco/luminet_frcnn.py' in PATHS and 'imagenet/none_r34_r18.py' in PATHS
    assert 'coco/luminet_frcnn.py' in METHODS and 'coco/none_frcnn.py' not in METHODS


@pytest.mark.parametrize('path', PATHS)
def test_is_a_small_diff(path):
    assert 'type' in read(path).model
    # The quickstart's networks and recipe are its own, not a diff over stock.
    if path in METHODS or not path.startswith('quickstart'):
        text = (CONFIGS / path).read_text()
        assert len(text.splitlines()) <= 25
        assert not re.search(r'^(import|from) ', text, re.M)


@pytest.mark.parametrize('path', PATHS)
def test_loop_and_what_hangs_on_it_agree(path):
    cfg = read(path)
    by_epoch = cfg.train_cfg.get('type') != 'IterBasedTrainLoop'
    length = cfg.train_cfg.get('max_epochs' if by_epoch else 'max_iters')
    sampler = 'DefaultSampler' if by_epoch else 'InfiniteSampler'
    assert cfg.train_dataloader.sampler.type == sampler
    assert cfg.default_hooks.checkpoint.get('by_epoch', True) == by_epoch
    assert cfg.get('log_processor', {}).get('by_epoch', True) == by_epoch
    schedulers = cfg.param_scheduler
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    for scheduler in schedulers:
        assert by_epoch or scheduler.by_epoch is False
        if scheduler.get('by_epoch', True) == by_epoch:  # no warm-up by iterations
            assert scheduler.get('end', length) <= length
            assert all(step < length for step in scheduler.get('milestones', ()))
    assert schedulers[-1].get('end', length) == length
    if 'auto_scale_lr' in cfg:
        gpus = cfg.auto_scale_lr.base_batch_size / cfg.train_dataloader.batch_size
        assert gpus in (1, 2, 4, 8)


@pytest.mark.parametrize('path', PATHS)
def test_takes_a_step_when_shrunken(path):
    """One build and one step for all that has to be seen in them."""
    model, logged, cfg, idle = build(path)
    assert logged['loss'] > 0
    assert all(torch.isfinite(torch.as_tensor(value)) for value in logged.values())
    # YOLOX takes pixels as they are.
    assert is_normalised(model) != ('yolox' in path)
    # Distributed training waits for no idle parameter.
    assert bool(idle) == cfg.get('find_unused_parameters', False), idle
    if path in METHODS:
        check_losses(model, logged, cfg)
        check_teacher_is_only_asked(model)
        state = model.state_dict()
        kept = {key: state[key] for key in state if not key.startswith('distill.')}
        shapes = {key: value.shape for key, value in kept.items()}
        assert shapes == shapes_alone(base_of(path))


def is_normalised(model):
    return max(InputStats.of(model.data_preprocessor).mean) > 1


def check_losses(model, logged, cfg):
    """Every loss is there with its weight."""
    assert [term.name for term in model.terms] == list(cfg.model.losses)
    epochs = cfg.train_cfg.get('max_epochs', 1)
    for term in model.terms:
        term.schedule.check(Progress(max_epochs=epochs))
        assert logged[term.name] > 0
        weight = logged[term.name.replace('loss', 'weight')]
        assert float(weight) == pytest.approx(term.schedule(Progress()))
        stop = term.schedule.stop or 10**3
        assert term.schedule(Progress(iter=10**6, epoch=stop - 1)) > 0


def check_teacher_is_only_asked(model):
    parameters = {id(parameter) for parameter in model.parameters()}
    assert model.teachers
    for teacher in model.teachers.values():
        assert parameters.isdisjoint(map(id, teacher.model.parameters()))
        assert not any(p.requires_grad for p in teacher.model.parameters())
        assert not any(module.training for module in teacher.model.modules())
        assert is_normalised(teacher.model) == is_normalised(model)
    assert not [key for key in model.state_dict() if 'teacher.' in key]


@pytest.mark.parametrize('path', METHODS)
def test_pair_differs_by_the_method_alone(path):
    cfg, alone = read(path).to_dict(), read(base_of(path)).to_dict()
    assert alone['model']['type'] != 'mmkd.Distiller'
    hooks = alone.get('custom_hooks') or []
    assert cfg['custom_hooks'][: len(hooks)] == hooks if 'custom_hooks' in cfg else True
    changed, lost = changes(cfg['model']['student'], alone['model'])
    weights = {CE_WEIGHT: CE_WEIGHTS[path]} if path in CE_WEIGHTS else {}
    assert (changed, lost) == (weights, set())
    assert set(cfg) - set(alone) <= VARIABLES | {'custom_hooks'}
    for rest in (cfg, alone):
        for key in ('model', 'custom_hooks', *VARIABLES):
            rest.pop(key, None)
    changed, lost = changes(cfg, alone)
    method = Path(path).stem.split('_')[0]
    allowed = dict(mlkd=MLKD, fgd=CLIP, mgd=CLIP).get(method, set())
    assert set(changed) <= allowed and not lost


@pytest.mark.parametrize('path', PUBLISHED)
def test_teacher_is_published_and_its_floor_below(path):
    cfg = read(path)
    package, config = cfg.model.teacher.config.split('::')
    entries = published(package, Path(config).parent)
    assert cfg.model.teacher.checkpoint in entries
    entry = entries[cfg.model.teacher.checkpoint]
    assert entry['Config'] == f'configs/{config}'
    figures = {}
    for result in entry['Results']:
        figures.update(result['Metrics'])
    names = {
        'coco/bbox_mAP': ('box AP', 100),
        'coco/segm_mAP': ('mask AP', 100),
        'accuracy/top1': ('Top 1 Accuracy', 1),
    }
    (hook,) = (hook for hook in cfg.custom_hooks if 'TeacherEval' in hook.type)
    assert hook.floor
    for metric, floor in hook.floor.items():
        name, unit = names[metric]
        assert figures[name] - 5 < floor * unit < figures[name] - 1


@pytest.mark.parametrize('path', FIGURES)
def test_published_figures_of_detectors_are_those_of_the_model_zoo(path):
    """Of the teacher, and of the student where it is a stock one of the zoo."""
    cfg, (package, stock) = read(path), base_of(path).split('::')
    teacher = cfg.teacher.config.split('::')[1]
    known = {'teacher': teacher, 'none': stock}
    # RTMDet's are mmyolo's, which trained the networks again.
    tolerance = 0.21 if 'rtmdet' in path else 0
    for name, config in known.items():
        entries = published(package, Path(config).parent).values()
        for entry in entries:
            if entry['Config'] == f'configs/{config}':
                figure = entry['Results'][0]['Metrics']['box AP']
                assert abs(cfg.published[name] - figure) <= tolerance
    assert cfg.teacher.checkpoint in published(package, Path(teacher).parent)
    gains = {method: AP - cfg.published.none for method, AP in cfg.published.items()}
    assert all(0 < gain for method, gain in gains.items() if method != 'none')


@pytest.mark.parametrize('path', PUBLISHED)
def test_command_line_reaches_what_it_must(path):
    """A short run on other data and at another size needs no new file."""
    cfg = Config(read(path).to_dict())
    last = len(cfg.custom_hooks) - 1
    options = {f'custom_hooks.{last}.floor': None}
    options['model.teacher.checkpoint'] = 'r101.pth'
    for loader in ('train_dataloader', 'val_dataloader'):
        wrapped = '.dataset' * ('dataset' in cfg[loader].dataset)
        options[f'{loader}.dataset{wrapped}.data_root'] = '/data/'
    by_iterations = cfg.train_cfg.get('type') == 'IterBasedTrainLoop'
    if by_iterations:
        options['train_cfg.max_iters'] = 200
        options['train_dataloader.dataset.pipeline.2.scales'] = [(667, 400)]
        options['val_dataloader.dataset.pipeline.1.scale'] = (667, 400)
        options['val_evaluator.ann_file'] = '/data/val.json'
    cfg.merge_from_dict(options)
    assert cfg.custom_hooks[-1].floor is None
    if by_iterations:
        pipeline = cfg.train_dataloader.dataset.pipeline
        assert pipeline[2].type == 'RandomChoiceResize'
        assert pipeline[2].scales == [(667, 400)]
        assert cfg.val_dataloader.dataset.pipeline[1].type == 'Resize'


def test_cifar_cells_are_short_and_no_base_is_idle():
    """Files of a few lines; a pair's figures are of methods that are there."""
    names = [Path(path).stem for path in PATHS if path.startswith('cifar100')]
    cells = [name.split('_', 1) for name in names if not name.startswith('teacher')]
    methods, pairs = map(set, zip(*cells))
    written = {path.stem for path in (CONFIGS / 'cifar100/_base_').glob('*.py')}
    assert written == methods - {'none'} | pairs | {'cells'}
    for name in names:
        text = (CONFIGS / f'cifar100/{name}.py').read_text()
        assert len(text.splitlines()) <= 7
    for pair in pairs:
        published = set(read(f'cifar100/none_{pair}.py').published)
        assert {'teacher', 'none', 'kd'} <= published <= methods | {'teacher'}


def test_every_loss_has_its_cells():
    trained = {
        spec.type
        for path in METHODS
        for spec in read(path).model.losses.values()
        if path.startswith('coco') or 'resnet56' in path
    }
    exported = {name for name in losses.__all__ if name != 'DistillLoss'}
    assert trained == exported


@pytest.mark.parametrize('path', COCO)
def test_each_detector_is_a_cell_of_a_benchmark_beside_its_own_student(path):
    cfg = read(path)
    assert metric_of(cfg).key == 'coco/bbox_mAP'
    method, pair = _name(path, cfg)
    if path in METHODS:
        assert Path(path).stem == f'{method}_{pair}'
        alone = base_of(path)
        assert _name(alone, read(alone)) == ('none', pair)


@pytest.mark.parametrize('path', CIFAR)
def test_cifar_files_train_what_their_names_say(path):
    """The pair's file, its teacher's own training and the cell name one network."""
    cfg = read(path)
    _, teacher, _ = Path(path).stem.split('_')
    own = read(f'cifar100/teacher_{teacher}.py')
    assert cfg.model.teacher.config.model == own.model
    assert Path(cfg.model.teacher.checkpoint).stem == teacher
    assert cfg.model.teacher.config.data_preprocessor == own.data_preprocessor


def test_unpublished_values_are_marked():
    for path in CIFAR:
        method, pair = Path(path).stem.split('_', 1)
        text = (CONFIGS / path).read_text()
        unpublished = any(name in pair for name in UNPUBLISHED.get(method, ()))
        assert ('(mmkd)' in text) == unpublished


@pytest.mark.parametrize(
    'pair', [Path(path).stem[3:] for path in CIFAR if '/kd_' in path]
)
def test_cifar_values_are_the_papers(pair):
    """What the papers and released scripts say in rules, not the table again."""
    teacher, student = pair.split('_')
    cells = {Path(path).stem[: -len(pair) - 1]: path for path in CIFAR if pair in path}
    losses = {method: read(path).model.losses for method, path in cells.items()}
    luminet = losses['luminet'].loss_luminet
    assert 65 < (luminet.alpha / luminet.tau) ** 2 < 90
    assert LUMINET.get(pair, (luminet.alpha, luminet.tau)) == tuple(
        luminet[name] for name in ('alpha', 'tau')
    )
    # DKD's, in mdistiller; the methods around it take the same.
    light = teacher == 'vgg13' or student.startswith('wrn')
    beta = 2 if teacher in ('resnet56', 'resnet110') else 6 if light else 8
    assert losses['dkd'].loss_dkd.beta == losses['unikd'].loss_dkd.beta == beta
    assert losses['sddkd'].loss_sddkd.loss.beta == beta
    # SDD: a third grid for networks of two families.
    family = re.match('[a-z]+', teacher)[0] == re.match('[a-z]+', student)[0]
    scales = [1, 2] if family else [1, 2, 4]
    assert losses['sdkd'].loss_sdkd.on.scales == scales
    assert losses['sddkd'].loss_sddkd.on.scales == scales
    model = read(cells['ofa']).model
    networks = model.student, model.teacher.config.model
    width = max(network.head.in_channels for network in networks)
    assert losses['ofa'].loss_ofa_stages.on.adapter.width == width


@pytest.mark.parametrize(
    'path', [p for p in METHODS if re.search('coco.*/[pcfm](k|w|g)d_', p)]
)
def test_values_of_feature_losses_are_the_papers(path):
    """What the papers and released configs say in rules, not the table again."""
    cfg, alone = read(path), read(base_of(path))
    (spec,) = cfg.model.losses.values()
    student, teacher = alone.model.type, cfg.model.teacher.config
    two_stage, yolox = 'roi_head' in alone.model, student == 'YOLOX'
    on = spec.on.student if isinstance(spec.on, dict) else spec.on
    if spec.type == 'PKDLoss':
        assert len(on) == 4 and spec.weight == (6 if 'rcnn' in teacher else 10)
    elif spec.type == 'CWDLoss' and student == 'RTMDet':
        (switch,) = (h for h in cfg.custom_hooks if h.type == 'PipelineSwitchHook')
        assert spec.weight.stop == switch.switch_epoch and len(on) == 3
    elif spec.type == 'CWDLoss':
        # Maps of 256 channels with 10, logits with 5.
        assert spec.weight == dict(neck=10, bbox_head=5)[on.split('.')[0]]
    else:
        # All that learn together start together.
        same = Path(teacher.split('::')[1]).parent.name
        inherits = same.replace('_', '') in student.lower() and not yolox
        assert bool(cfg.model.get('inherit')) == inherits
        assert len(on) == (4 if two_stage else 3 if yolox else 5)
        assert all(path.endswith('.conv') for path in on) != yolox
        assert (cfg.optim_wrapper.get('clip_grad', {}).get('max_norm') == 35) != yolox
    if spec.type == 'FGDLoss':
        assert spec.beta == pytest.approx(spec.alpha / 2)
        assert spec.gamma == (spec.alpha if two_stage else spec.beta)
        assert spec.lambda_ == pytest.approx(spec.alpha / (100 if two_stage else 200))
    elif spec.type == 'MGDLoss':
        assert (spec.alpha, spec.masked) == (
            (5e-7, 0.45) if two_stage else (2e-5, 0.65)
        )
