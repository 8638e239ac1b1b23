"""Code behind features: any change of it makes them anew, and no other one."""

import importlib
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmkd.models.backbones import CIFARResNet
from mmkd.transfer import Network, Pixels, cached_features
from mmkd.transfer.features import code_digest as module
from mmkd.transfer.features.code_digest import LIBRARIES, code_digest

#: A project of three files: a backbone, a step of a pipeline, and what they import.
PROJECT = {
    'changing_net': """
        from mmengine.model import BaseModule
        from mmkd.registry import MODELS
        from mmcv.transforms import TRANSFORMS, BaseTransform
        from changing_ops import scaled

        @MODELS.register_module(force=True)
        class ChangingNet(BaseModule):
            def forward(self, x):
                return scaled(x.mean((2, 3))) + 1.0

        @TRANSFORMS.register_module(force=True)
        class ChangingStep(BaseTransform):
            def transform(self, results):
                results['img'] = results['img'] // 1
                return results
        """,
    'changing_ops': """
        def scaled(x):
            from changing_sizes import SCALE
            return SCALE * x
        """,
    'changing_sizes': 'SCALE = 2.0\n',
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes that project, with changes, and loads it as another process would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)

    def load(old='', new='', reload=True):
        for name, text in PROJECT.items():
            text = textwrap.dedent(text).replace(old, new) if old else text
            (tmp_path / f'{name}.py').write_text(textwrap.dedent(text))
        if reload:
            for name in PROJECT:
                sys.modules.pop(name, None)
            importlib.import_module('changing_net')

    yield load
    for name in PROJECT:
        sys.modules.pop(name, None)


@pytest.fixture
def images(tmp_path, noise, datasets):
    """Four images in files."""
    (tmp_path / 'images').mkdir()
    paths = [tmp_path / 'images' / f'{index}.png' for index in range(4)]
    for path, image in zip(paths, noise(4)):
        Image.fromarray(image).save(path)
    return datasets[1](paths)


@pytest.fixture
def extracted(images, tmp_path, monkeypatch):
    """Gives cached features of those images, and how many of them it had to look at."""
    shown = []
    for kind in (Network, Pixels):

        def counted(self, images, layers, features=kind.features):
            shown.append(len(images))
            return features(self, images, layers)

        monkeypatch.setattr(kind, 'features', counted)

    def extract(network):
        shown.clear()
        rows = cached_features(network, images, ['pooled'], tmp_path / 'cache')
        return np.array(rows['pooled']), sum(shown)

    return extract


@pytest.fixture
def read_anew(monkeypatch):
    """Reads code as in another process, and some files with a line more."""
    read = Path.read_bytes

    def start(*changed):
        def changed_read(path):
            return read(path) + b'\nx = 0' * str(path).endswith(changed)

        monkeypatch.setattr(module, '_FILES', {})
        monkeypatch.setattr(Path, 'read_bytes', changed_read)

    return start


def changing():
    """Build the project's network: its text and weights never change."""
    step = dict(type='ChangingStep')
    return Network(
        Config(
            dict(
                default_scope='mmpretrain',
                model=dict(type='mmkd.ChangingNet'),
                data_preprocessor=dict(mean=[0.0] * 3, std=[255.0] * 3),
                test_dataloader=dict(dataset=dict(type='Mine', pipeline=[step])),
            )
        ),
        device='cpu',
    )


@pytest.mark.parametrize(
    'old, new',
    [
        ('+ 1.0', '+ 3.0'),  # the backbone
        ('// 1', '// 2'),  # the step
        ('return SCALE', 'return 3 * SCALE'),  # a function that it imports
        ('SCALE = 2.0', 'SCALE = 4.0'),  # what that one imports, when it is called
    ],
)
def test_a_change_of_a_projects_code_makes_features_anew(project, extracted, old, new):
    project()
    first, number = extracted(changing())
    assert number == 4 and extracted(changing())[1] == 0
    project(old, new)
    second, number = extracted(changing())
    assert number == 4
    assert not np.allclose(first, second)
    project()
    again, number = extracted(changing())
    assert number == 0 and np.array_equal(again, first)


def test_a_file_edited_since_it_was_loaded_is_not_what_runs(project, extracted):
    project()
    first, _ = extracted(changing())
    project('+ 1.0', '+ 3.0', reload=False)
    assert extracted(changing())[1] == 0
    importlib.reload(sys.modules['changing_net'])
    second, number = extracted(changing())
    assert number == 4 and not np.allclose(first, second)


@pytest.mark.parametrize(
    'file',
    [
        'mmkd/transfer/network.py',
        'mmkd/transfer/features/layers.py',
        'mmkd/transfer/features/transform.py',
        'mmkd/transfer/features/extraction.py',
        'mmkd/datasets/read_image.py',
        'mmkd/models/stock_network.py',
        'mmkd/models/taps.py',
        'mmpretrain/models/backbones/resnet.py',
        'mmpretrain/models/heads/linear_head.py',
        'mmpretrain/datasets/transforms/processing.py',
        'mmengine/model/base_module.py',
        'torch/nn/modules/batchnorm.py',
    ],
)
def test_a_change_on_the_path_makes_features_anew(
    toy_config, extracted, read_anew, file
):
    network = Network(toy_config, input_size=32, device='cpu')
    read_anew()
    assert extracted(network)[1] == 4
    read_anew()
    assert extracted(network)[1] == 0
    read_anew(file)
    assert extracted(network)[1] == 4


@pytest.mark.parametrize('library', LIBRARIES)
def test_another_version_makes_features_anew(
    toy_config, extracted, monkeypatch, library
):
    network = Network(toy_config, device='cpu')
    extracted(network)
    monkeypatch.setattr(f'{library}.__version__', '0.0.0')
    assert extracted(network)[1] == 4


@pytest.mark.parametrize('part', ['mmkd/transfer/pixels.py', 'read_image.py'])
def test_pixels_depend_on_code_too(toy_config, extracted, read_anew, part):
    pixels = Pixels(toy_config)
    assert extracted(pixels)[1] == 4
    read_anew(part)
    assert extracted(pixels)[1] == 4


def test_a_backbone_of_mmkd_counts_with_what_it_imports(read_anew):
    known = {code_digest(CIFARResNet)}
    for file in ('backbones/cifar_resnet.py', 'backbones/layers.py'):
        read_anew(file)
        known.add(code_digest(CIFARResNet))
    assert len(known) == 3


@pytest.mark.parametrize(
    'file', ['losses/kd_loss.py', 'mmkd/models/distiller.py', 'mmkd/transfer/entry.py']
)
def test_a_change_elsewhere_leaves_features(toy_config, extracted, read_anew, file):
    network = Network(toy_config, device='cpu')
    extracted(network)
    read_anew(file)
    assert extracted(network)[1] == 0


def test_of_what_was_typed_in_nothing_is_known(monkeypatch):
    typed = types.ModuleType('typed_in')
    monkeypatch.setitem(sys.modules, 'typed_in', typed)
    exec('import torch\nclass Net(torch.nn.Module): pass', vars(typed))
    assert code_digest(typed.Net()) != code_digest(typed.Net())
    assert code_digest(torch.nn.ReLU()) == code_digest(torch.nn.ReLU())
    assert code_digest(type('Rows', (list,), {})) == code_digest(
        type('Rows', (list,), {})
    )
