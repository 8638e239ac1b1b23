"""Every shipped config: it reads, builds, takes a step, and compares fairly."""

import functools
import importlib
import re
from pathlib import Path

import mmengine
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

import mmkd  # noqa: F401  (mmdet's imports lean on mmkd.compat)
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


def base_of(path):
    """Path of the config that a method's config is a diff over: its pair."""
    if path in CIFAR:
        return re.sub(r'/[a-z0-9]+_', '/none_', path)
    base = re.search(r"^_base_ = '\./(.+)'$", (CONFIGS / path).read_text(), re.M)
    base = (Path(path).parent / base.group(1)).as_posix()
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
        heads = network.roi_head.bbox_head
        head = heads[0] if isinstance(heads, list) else heads
        masks = 'mask_head' in network.roi_head
        batch = detection_batch(classes=head.num_classes, masks=masks)
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
    stats = InputStats.of(model.data_preprocessor)
    assert max(stats.std) > 1, f'the images are not normalised: {stats}'
    # Distributed training waits for no idle parameter.
    assert bool(idle) == cfg.get('find_unused_parameters', False), idle
    if path in METHODS:
        check_losses(model, logged, cfg)
        check_teacher_is_only_asked(model)
        state = model.state_dict()
        kept = {key: state[key] for key in state if not key.startswith('distill.')}
        shapes = {key: value.shape for key, value in kept.items()}
        assert shapes == shapes_alone(base_of(path))


def check_losses(model, logged, cfg):
    """Every loss is there with its weight."""
    assert [term.name for term in model.terms] == list(cfg.model.losses)
    epochs = cfg.train_cfg.get('max_epochs', 1)
    for term in model.terms:
        term.schedule.check(Progress(max_epochs=epochs))
        assert logged[term.name] > 0
        weight = logged[term.name.replace('loss', 'weight')]
        assert float(weight) == pytest.approx(term.schedule(Progress()))
        assert term.schedule(Progress(iter=10**6, epoch=10**3)) > 0


def check_teacher_is_only_asked(model):
    parameters = {id(parameter) for parameter in model.parameters()}
    assert model.teachers
    for teacher in model.teachers.values():
        assert parameters.isdisjoint(map(id, teacher.model.parameters()))
        assert not any(p.requires_grad for p in teacher.model.parameters())
        assert not any(module.training for module in teacher.model.modules())
        stats = InputStats.of(teacher.model.data_preprocessor)
        assert max(stats.std) > 1, f'the teacher has no input statistics: {stats}'
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
    assert set(changed) <= (MLKD if '/mlkd_' in path else set()) and not lost


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
    floors = [hook.floor for hook in cfg.custom_hooks if 'TeacherEval' in hook.type]
    assert floors and floors[0]
    for metric, floor in floors[0].items():
        name, unit = names[metric]
        assert figures[name] - 5 < floor * unit < figures[name] - 1


@pytest.mark.parametrize('path', PUBLISHED)
def test_command_line_reaches_what_it_must(path):
    """A short run on other data and at another size needs no new file."""
    cfg = Config(read(path).to_dict())
    options = {'custom_hooks.0.floor': None, 'model.teacher.checkpoint': 'r101.pth'}
    for loader in ('train_dataloader', 'val_dataloader'):
        options[f'{loader}.dataset.data_root'] = '/data/'
    if path.startswith('coco'):
        options['train_cfg.max_iters'] = 200
        options['train_dataloader.dataset.pipeline.2.scales'] = [(667, 400)]
        options['val_dataloader.dataset.pipeline.1.scale'] = (667, 400)
        options['val_evaluator.ann_file'] = '/data/val.json'
    cfg.merge_from_dict(options)
    assert cfg.custom_hooks[0].floor is None
    if path.startswith('coco'):
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
        for path in CIFAR
        for spec in read(path).model.losses.values()
        if 'resnet56' in path
    }
    exported = {name for name in losses.__all__ if name != 'DistillLoss'}
    assert trained == exported


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
