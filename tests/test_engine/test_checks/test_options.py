"""Loader options that only workers have; folders that data are downloaded to."""

import argparse
import urllib.request

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmkd.configs import load_config
from mmkd.datasets import CIFAR10, CIFAR100
from mmkd.engine.checks import check_data
from mmkd.engine.launch import prepare_config
from mmkd.errors import DataError


@pytest.mark.parametrize(
    'options',
    [
        dict(persistent_workers=True),
        dict(persistent_workers=True, prefetch_factor=4),
        dict(timeout=5),
        dict(multiprocessing_context='fork'),
    ],
)
def test_no_workers_need_no_options(tmp_path, monkeypatch, coco, options):
    monkeypatch.setenv('LOCAL_RANK', '0')
    cfg = coco()
    cfg.train_dataloader.update(num_workers=2, **options)
    cfg.dump(tmp_path / 'stock.py')
    args = argparse.Namespace(
        config=str(tmp_path / 'stock.py'),
        cfg_options={'train_dataloader.num_workers': 0},
        launcher='none',
        local_rank=0,
        work_dir=None,
    )
    loader = prepare_config(args).train_dataloader
    with DefaultScope.overwrite_default_scope('mmdet'):
        built = Runner.build_dataloader(loader)
    assert len(next(iter(built))['inputs']) == 2
    args.cfg_options = {}
    loader = prepare_config(args).train_dataloader
    assert {key: loader[key] for key in options} == options


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty folder to be in, and no network: asking for it is an error."""

    def ask(*args, **kwargs):
        raise AssertionError('asked the network')

    monkeypatch.setattr(urllib.request, 'urlopen', ask)
    monkeypatch.chdir(tmp_path)


def stock(root, kind='CIFAR100', **kwargs):
    dataset = dict(type=kind, data_root=str(root), **kwargs)
    return Config(dict(train_dataloader=dict(dataset=dataset)))


@pytest.mark.parametrize('kind', ['CIFAR10', 'CIFAR100', 'mmkd.CIFAR100', 'MNIST'])
def test_a_mistyped_root_downloads_nothing(offline, tmp_path, kind):
    (tmp_path / 'sets/cifar100').mkdir(parents=True)
    with pytest.raises(DataError, match='sets holds cifar100.*MB downloaded into it'):
        check_data(stock('sets/cifra100', kind))


@pytest.mark.parametrize('dataset', [CIFAR10, CIFAR100])
def test_a_mistyped_root_of_a_tool(offline, tmp_path, dataset):
    (tmp_path / 'sets').mkdir()
    with pytest.raises(DataError, match='sets holds nothing'):
        dataset('sets/cifra', pipeline=[])


def test_the_folder_inside(offline, tmp_path):
    (tmp_path / 'sets/cifar-100-python').mkdir(parents=True)
    with pytest.raises(DataError, match="the one above, 'sets'"):
        check_data(stock('sets/cifar-100-python'))


def test_the_usual_folder_and_what_is_there_are_downloaded_into(offline, tmp_path):
    check_data(load_config('mmpretrain::_base_/datasets/cifar100_bs16.py'))
    check_data(stock('data/cifar100'))
    (tmp_path / 'sets').mkdir()
    check_data(stock('sets'))
    check_data(stock('elsewhere', download=True))
    for root in ('data/cifar100', 'sets'):
        with pytest.raises(AssertionError, match='asked the network'):
            CIFAR100(root, pipeline=[])
    with pytest.raises(AssertionError, match='asked the network'):
        CIFAR100('elsewhere', download=True, pipeline=[])


def test_digits_are_made_anywhere():
    check_data(stock('nowhere/digits', 'mmkd.DigitsDataset'))
