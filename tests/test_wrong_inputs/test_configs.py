"""Configs that are wrong as texts, and parts of a right one that cannot be built."""

import pytest

#: What is wrong: words of the sentence, name of the file, its text.
TEXTS = {
    'empty': ('model', 'empty.py', ''),
    'no model': ('model', 'none.py', 'train_cfg = dict(max_epochs=1)'),
    'a model that is text': ('model', 'text.py', "model = 'resnet18'"),
    'a model without type': ('model.*type', 'type.py', 'model = dict(depth=18)'),
    'an unknown name': ('depth', 'name.py', 'model = dict(depth=depth)'),
    'a syntax error': ('invalid syntax|syntax', 'syntax.py', 'model = dict(type='),
    'a division by zero': ('division', 'zero.py', 'model = 1 / 0'),
    'no Python': ('config|utf-8|decode', 'bytes.py', b'\xff\xfe\x00model'),
    'another ending': ('ending|py|yaml', 'config.txt', "model = dict(type='x')"),
    'no ending': ('ending|py|yaml', 'config', "model = dict(type='x')"),
    'broken YAML': ('broken', 'broken.yaml', 'model: {type: [x'),
    'YAML, a list': ('list', 'list.yaml', '- a\n- b\n'),
    'broken JSON': ('broken', 'broken.json', '{"model": {"type": }'),
    'JSON, a number': ('number', 'number.json', '3'),
    'a base that is not there': (r'no_such\.py', 'base.py', "_base_ = './no_such.py'"),
    'a base that is a folder': ('folder|directory|home', 'dir.py', '_base_ = {home!r}'),
    'a base that is a number': ('_base_', 'number.py', '_base_ = 3'),
    'its own base': ('self.py', 'self.py', "_base_ = './self.py'"),
    'a circle of bases': ('circle', 'circle.py', "_base_ = './other.py'"),
    'a base of no package': ('package', 'package.py', "_base_ = 'nopackage::a.py'"),
    'two bases with one key': (
        'model|default_scope',
        'twice.py',
        "_base_ = [{home!r} + '/classifier.py', {home!r} + '/detector.py']",
    ),
    'a name of the base that is none': (
        'modell',
        'attribute.py',
        "_base_ = {home!r} + '/classifier.py'\nmodel = dict(head=_base_.modell)",
    ),
    'an import that is not there': (
        'no_such_module',
        'imports.py',
        "_base_ = {home!r} + '/classifier.py'\n"
        "custom_imports = dict(imports=['no_such_module'])",
    ),
    'an import that fails': (
        'boom',
        'failing.py',
        "_base_ = {home!r} + '/classifier.py'\ncustom_imports = dict(imports=['boom'])",
    ),
}


@pytest.mark.parametrize('case', TEXTS)
def test_texts(case, refused, home, tmp_path, monkeypatch):
    words, name, text = TEXTS[case]
    if isinstance(text, str):
        text = text.replace('{home!r}', repr(str(home))).encode()
    (tmp_path / name).write_bytes(text)
    (tmp_path / 'other.py').write_text("_base_ = './circle.py'")
    (tmp_path / 'boom.py').write_text("raise ValueError('boom')")
    monkeypatch.syspath_prepend(str(tmp_path))
    refused(words, 'train', tmp_path / name, '--work-dir', tmp_path / 'work')


@pytest.mark.parametrize(
    'tool, arguments',
    {
        'inspect_distill': (),
        'export_student': ('{home}/classifier.pth',),
        'test': ('{home}/classifier.pth',),
        'linear_probe': ('{home}/classifier.pth', '--dataset', 'digits'),
        'run_benchmark': ('--seeds', '0'),
        'benchmarks/step_cost': ('--rounds', '2'),
        'analysis/calibration': ('{home}/classifier.pth', '--dataset', 'digits'),
    }.items(),
)
def test_every_tool_needs_a_model(tool, arguments, refused, tmp_path):
    (tmp_path / 'empty.py').write_text('train_cfg = dict(max_epochs=1)')
    refused('has no model', tool, tmp_path / 'empty.py', *arguments)


#: What is wrong: words of the sentence, the config below, lines of the config.
PARTS = {
    'a data set of no type': (
        'CustomDataSet',
        'classifier_kd',
        "train_dataloader = dict(dataset=dict(type='CustomDataSet'))",
    ),
    'an argument of the data set': (
        'data_rot',
        'classifier_kd',
        "train_dataloader = dict(dataset=dict(data_rot='x'))",
    ),
    'a step of no type': (
        'LoadImages',
        'classifier_kd',
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImages')]))",
    ),
    'an argument of a step': (
        'scal',
        'classifier_kd',
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'),"
        " dict(type='Resize', scal=3), dict(type='PackInputs')]))",
    ),
    'a pipeline that is text': (
        'pipeline',
        'classifier_kd',
        "train_dataloader = dict(dataset=dict(pipeline='LoadImageFromFile'))",
    ),
    'a pipeline without images': (
        'img|LoadImageFromFile|pipeline',
        'classifier_kd',
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type='PackInputs')]))",
    ),
    'a pipeline that packs nothing': (
        'Pack|pipeline|inputs',
        'classifier_kd',
        'train_dataloader = dict(dataset=dict(pipeline=['
        "dict(type='LoadImageFromFile')]))",
    ),
    'a sampler of no type': (
        'DefaultSamplr',
        'classifier_kd',
        "train_dataloader = dict(sampler=dict(type='DefaultSamplr'))",
    ),
    'no data set': (
        'data set',
        'classifier_kd',
        'train_dataloader = dict(dataset=None)',
    ),
    'a loader, a list': ('train_dataloader', 'classifier_kd', 'train_dataloader = []'),
    'no loader': ('train_dataloader', 'classifier_kd', 'train_dataloader = None'),
    'no optimizer': ('optim', 'classifier_kd', 'optim_wrapper = None'),
    'an argument of the optimizer': (
        'momentun',
        'classifier_kd',
        'optim_wrapper = dict(optimizer=dict(momentun=0.9))',
    ),
    'a wrapper of no type': (
        'OptimWraper',
        'classifier_kd',
        "optim_wrapper = dict(type='OptimWraper')",
    ),
    'a hook of no type': (
        'EMAHok',
        'classifier_kd',
        "custom_hooks = [dict(type='EMAHok')]",
    ),
    'an argument of a hook': (
        'momentun',
        'classifier_kd',
        "custom_hooks = [dict(type='EMAHook', momentun=0.1)]",
    ),
    'hooks, a dict': (
        'hook',
        'classifier_kd',
        "custom_hooks = dict(type='EMAHook')",
    ),
    'hooks, text': ('hook', 'classifier_kd', "custom_hooks = ['EMAHook']"),
    'a hook of a GPU': (
        'cuda_graph|GPU',
        'classifier_kd',
        "custom_hooks = [dict(type='mmkd.AccelerateHook', cuda_graph=True)]",
    ),
    'an evaluator of no type': (
        'Acuracy',
        'classifier_kd',
        "val_evaluator = dict(type='Acuracy')",
    ),
    'an argument of the evaluator': (
        'topkk',
        'classifier_kd',
        'val_evaluator = dict(topkk=(1,))',
    ),
    'no evaluator': ('val_evaluator', 'classifier_kd', 'val_evaluator = None'),
    'annotations of the evaluator': (
        r'no_such\.json',
        'detector_kd',
        "val_evaluator = dict(ann_file='no_such.json')",
    ),
    'a loop of no type': (
        'EpochLoop',
        'classifier_kd',
        "train_cfg = dict(_delete_=True, type='EpochLoop', max_epochs=1)",
    ),
    'an argument of the loop': (
        'max_iter',
        'classifier_kd',
        'train_cfg = dict(max_iter=3)',
    ),
    'a loop without end': (
        'max_epochs',
        'classifier_kd',
        'train_cfg = dict(_delete_=True, by_epoch=True)',
    ),
    'no loop': ('train_cfg', 'classifier_kd', 'train_cfg = None'),
    'a schedule of no type': (
        'MultiStep',
        'classifier_kd',
        "param_scheduler = dict(_delete_=True, type='MultiStep')",
    ),
    'an argument of the schedule': (
        'milestone',
        'classifier_kd',
        "param_scheduler = dict(_delete_=True, type='MultiStepLR', milestone=[1])",
    ),
    'a scope of no package': (
        'mmnothing',
        'classifier_kd',
        "default_scope = 'mmnothing'",
    ),
    'a scope of another package': (
        'mmdet|ImageClassifier|scope',
        'classifier_kd',
        "default_scope = 'mmdet'\nmodel = dict(student=dict(_scope_=None))",
    ),
    'a visualizer of no type': (
        'Visualiser',
        'classifier_kd',
        "visualizer = dict(type='Visualiser')",
    ),
    'a runner of no type': (
        'NoRunner',
        'classifier_kd',
        "runner_type = 'NoRunner'",
    ),
    'a log level that is none': (
        'log_level|LOUD',
        'classifier_kd',
        "log_level = 'LOUD'",
    ),
    'a teacher without its floor': (
        'floor|accuracy7',
        'classifier_kd',
        "custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy7': 1})]",
    ),
    'a probe without data': (
        'cifar7',
        'classifier_kd',
        "custom_hooks = [dict(type='mmkd.LinearProbeHook', dataset='cifar7')]",
    ),
}


@pytest.mark.parametrize('case', PARTS)
def test_parts(case, train):
    words, base, text = PARTS[case]
    train(words, f'{base}.py', text)
