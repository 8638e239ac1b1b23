"""Cached features: right after any change, kill or damage, and computed once."""

import errno
import json
import multiprocessing
import os
import re
import shutil
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmkd.errors import ConfigError, DataError, OutputError
from mmkd.transfer import Network, Pixels, cached_features, load_target
from mmkd.transfer.features import extraction

BOTH = ['pooled', 'logits']


class Sums:
    """Stands in for a network where only the files of the cache matter."""

    name = 'sums'

    def transform(self, image):
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    def features(self, images, layers):
        sums = dict(pooled=images.sum((2, 3)), logits=images.sum((1, 2)))
        return {name: sums[name].float() for name in layers}

    def fingerprint(self):
        return 'sums'


@pytest.fixture(scope='module')
def network(toy_config):
    return Network(toy_config, device='cpu')


@pytest.fixture
def done(monkeypatch):
    """Lists of the images that were read, and of the layers of each pass."""
    done = dict(images=[], passes=[])
    read, features = extraction.read_image, Network.features

    def counted_read(info):
        done['images'].append(info.get('img_path', '').rpartition('/')[2])
        return read(info)

    def counted_features(self, images, layers):
        done['passes'].append(list(layers))
        return features(self, images, layers)

    monkeypatch.setattr(extraction, 'read_image', counted_read)
    monkeypatch.setattr(Network, 'features', counted_features)
    return done


@pytest.fixture
def forget(done):
    """Empties these lists, and gives what was in them."""

    def forget():
        rows = {key: list(values) for key, values in done.items()}
        for values in done.values():
            values.clear()
        return rows

    return forget


@pytest.fixture
def files(tmp_path, noise, datasets):
    """Ten images in files."""
    (tmp_path / 'images').mkdir()
    paths = [tmp_path / 'images' / f'{index}.png' for index in range(10)]
    for path, image in zip(paths, noise(10)):
        Image.fromarray(image).save(path)
    return datasets[1](paths)


def fork(target, *args):
    process = multiprocessing.get_context('fork').Process(target=target, args=args)
    process.start()
    return process


def killed(number, *args, batch_size):
    """Extract in a process that is killed at an image.

    All batches are done by then but that of the image and, perhaps, the one before.
    """

    def extract():
        read, images = extraction.read_image, []

        def counted(info):
            images.append(info)
            if len(images) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return read(info)

        extraction.read_image = counted
        cached_features(*args, batch_size=batch_size, workers=1)

    child = fork(extract)
    child.join()
    assert child.exitcode == -signal.SIGKILL


def equal(a, b):
    return list(a) == list(b) and all(
        a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name])
        for name in a
    )


def note_of(cache):
    (note,) = Path(cache).glob('*/progress.json')
    return json.loads(note.read_text())


class TestOnce:
    def test_features_are_the_networks_in_order(self, network, tmp_path, forget):
        digits = load_target('digits').val
        images = [
            network.transform(digits.get_data_info(index)['img'])
            for index in range(len(digits))
        ]
        batches = torch.from_numpy(np.stack(images)).split(100)
        expected = [network.features(batch, BOTH) for batch in batches]
        forget()
        rows = cached_features(network, digits, BOTH, tmp_path, batch_size=100)
        assert list(rows) == BOTH
        for name in BOTH:
            assert rows[name].dtype == np.float32
            batches = torch.cat([each[name] for each in expected])
            np.testing.assert_array_equal(rows[name], batches)
        first = forget()
        assert len(first['images']) == 359 and first['passes'] == [BOTH] * 4

        again = cached_features(network, digits, BOTH, tmp_path, batch_size=100)
        assert forget() == dict(images=[], passes=[])
        assert equal(again, rows)

    def test_arrays_are_mapped_and_the_file_is_not_changed(
        self, network, files, tmp_path
    ):
        rows = cached_features(network, files, ['pooled'], tmp_path)['pooled']
        before = rows.copy()
        assert isinstance(rows, np.memmap)
        rows[:] = 0
        again = cached_features(network, files, ['pooled'], tmp_path)['pooled']
        np.testing.assert_array_equal(again, before)

    def test_another_layer_later_computes_only_that(
        self, network, files, tmp_path, forget
    ):
        first = cached_features(network, files, ['pooled'], tmp_path)
        forget()
        layers = ['backbone.layer2', 'pooled', 'backbone.layer2']
        rows = cached_features(network, files, layers, tmp_path)
        assert forget()['passes'] == [['backbone.layer2']]
        assert list(rows) == ['backbone.layer2', 'pooled']
        assert equal(dict(pooled=rows['pooled']), first)
        assert rows['backbone.layer2'].shape == (10, 16)

    def test_nothing_else_is_left_behind(self, network, files, tmp_path):
        cached_features(network, files, BOTH, tmp_path)
        names = [path.name.split('-')[0] for path in tmp_path.glob('*/*')]
        assert sorted(set(names) - {f'{i}.png' for i in range(10)}) == [
            'lock', 'logits', 'pooled',
        ]  # fmt: skip

    def test_half_precision_is_kept_as_it_is(
        self, toy_config, files, tmp_path, monkeypatch
    ):
        network = Network(toy_config, device='cpu')
        assert network.precision == 32
        full = cached_features(network, files, ['pooled'], tmp_path)['pooled']
        monkeypatch.setattr(Network, 'precision', 16)  # as on a GPU
        half = cached_features(network, files, ['pooled'], tmp_path)['pooled']
        assert (full.dtype, half.dtype) == (np.float32, np.float16)
        np.testing.assert_allclose(half, full, atol=0.02)


class TestChanges:
    """What features depend on makes them anew; the old ones stay."""

    def counted(self, network, dataset, tmp_path, forget):
        forget()
        rows = cached_features(network, dataset, ['pooled'], tmp_path / 'cache')
        return np.array(rows['pooled']), len(forget()['images'])

    def test_of_the_network(self, toy_config, files, tmp_path, forget):
        network = Network(toy_config, name='first', device='cpu')
        first, number = self.counted(network, files, tmp_path, forget)
        assert number == 10
        network.name = 'second'
        assert self.counted(network, files, tmp_path, forget)[1] == 0
        network.model.backbone.conv1.weight[0, 0, 3, 3] += 1
        second, number = self.counted(network, files, tmp_path, forget)
        assert number == 10 and not np.array_equal(first, second)
        network.model.backbone.conv1.weight[0, 0, 3, 3] -= 1
        network.model.backbone.bn1.running_mean[0] += 1
        third, number = self.counted(network, files, tmp_path, forget)
        assert number == 10 and not np.array_equal(first, third)
        again = Network(toy_config, device='cpu')
        rows, number = self.counted(again, files, tmp_path, forget)
        assert number == 0 and np.array_equal(rows, first)

    def test_of_the_transform(self, toy_config, files, tmp_path, forget):
        features = []
        for size in (None, 48):
            network = Network(toy_config, input_size=size, device='cpu')
            rows, number = self.counted(network, files, tmp_path, forget)
            assert number == 10
            features.append(rows)
        assert not np.array_equal(*features)

    def test_of_a_file(self, network, files, tmp_path, forget, noise):
        first, _ = self.counted(network, files, tmp_path, forget)
        path = Path(files.get_data_info(3)['img_path'])
        times = path.stat()
        Image.fromarray(noise(1, seed=1)[0]).save(path)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
        second, number = self.counted(network, files, tmp_path, forget)
        assert number == 10
        assert np.flatnonzero((first != second).any(1)).tolist() == [3]
        path.write_bytes(path.read_bytes() + b'0')  # of another size
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
        third, number = self.counted(network, files, tmp_path, forget)
        assert number == 10 and np.array_equal(third, second)

    def test_of_the_files(self, network, files, tmp_path, forget, datasets):
        for path in files.paths:  # of one size and time
            Image.open(path).save(path, format='BMP')
            os.utime(path, ns=(0, 0))
        first, _ = self.counted(network, files, tmp_path, forget)
        mirrored = datasets[1](files.paths[::-1])
        second, number = self.counted(network, mirrored, tmp_path, forget)
        assert number == 10 and np.array_equal(second, first[::-1])
        _, number = self.counted(
            network, datasets[1](files.paths[:6]), tmp_path, forget
        )
        assert number == 6

    def test_of_pixels_in_memory(self, network, tmp_path, forget, datasets, noise):
        arrays = datasets[0]
        images = noise(6)
        first, number = self.counted(network, arrays(images), tmp_path, forget)
        assert number == 6
        rows, number = self.counted(network, arrays(images.copy()), tmp_path, forget)
        assert number == 0 and np.array_equal(rows, first)
        images[2, 5, 5, 1] ^= 255
        second, number = self.counted(network, arrays(images), tmp_path, forget)
        assert number == 6
        assert np.flatnonzero((first != second).any(1)).tolist() == [2]


class TestKilled:
    def test_goes_on_where_it_was(
        self, network, tmp_path, monkeypatch, datasets, noise, forget
    ):
        dataset = datasets[0](noise(40))
        expected = cached_features(
            network, dataset, BOTH, tmp_path / 'other', batch_size=4
        )
        monkeypatch.setattr(extraction, 'NOTE_EVERY', -1)
        cache = tmp_path / 'cache'
        killed(27, network, dataset, BOTH, cache, batch_size=4)
        already = note_of(cache)['done']
        assert already in (20, 24)
        forget()
        rows = cached_features(network, dataset, BOTH, cache, batch_size=4)
        assert len(forget()['images']) == 40 - already
        assert equal(rows, expected)
        assert not list(cache.glob('*/progress.json'))

    def test_at_any_moment(self, files, tmp_path, monkeypatch, forget, datasets):
        """At every read, write, flush, renaming and removal in turn."""
        network, four = Sums(), datasets[1](files.paths[:4])
        expected = cached_features(
            network, four, BOTH, tmp_path / 'other', batch_size=2
        )
        monkeypatch.setattr(extraction, 'NOTE_EVERY', -1)
        moments = 0

        def extract(last, cache):
            passed = 0

            def watched(function):
                def call(*args, **kwargs):
                    nonlocal passed
                    passed += 1
                    if passed > last:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return function(*args, **kwargs)

                return call

            owners = [
                (extraction, 'read_image'), (extraction, 'open_memmap'),
                (network, 'features'), (np.memmap, 'flush'), (Path, 'write_text'),
                (os, 'replace'), (Path, 'unlink'),
            ]  # fmt: skip
            for owner, name in owners:
                setattr(owner, name, watched(getattr(owner, name)))
            cached_features(network, four, BOTH, cache, batch_size=2, workers=1)

        resumed = set()
        while True:
            cache = tmp_path / f'cache{moments}'
            child = fork(extract, moments, cache)
            child.join()
            if child.exitcode == 0:
                break
            assert child.exitcode == -signal.SIGKILL
            notes = list(cache.glob('*/progress.json'))
            parts = list(cache.glob('*/*.part'))
            already = json.loads(notes[0].read_text())['done'] if notes else 0
            forget()
            rows = cached_features(network, four, BOTH, cache, batch_size=2)
            images = forget()['images']
            assert equal(rows, expected), moments
            if len(parts) == 2:
                assert len(images) == 4 - already
                resumed.add(already)
            moments += 1
        assert moments > 20 and resumed == {0, 2, 4}

    def test_a_note_does_not_outlive_what_it_tells_of(
        self, files, tmp_path, monkeypatch
    ):
        """Killed with a note; then killed at once with other layers; then as first."""
        cache = tmp_path / 'cache'
        expected = cached_features(Sums(), files, ['pooled'], tmp_path / 'other')
        monkeypatch.setattr(extraction, 'NOTE_EVERY', -1)
        killed(10, Sums(), files, ['pooled'], cache, batch_size=2)
        assert note_of(cache)['done'] in (6, 8)
        monkeypatch.setattr(extraction, 'NOTE_EVERY', 1000)
        killed(5, Sums(), files, BOTH, cache, batch_size=2)
        assert equal(
            cached_features(Sums(), files, ['pooled'], cache, batch_size=2), expected
        )

    def test_goes_on_with_the_same_batches_only(
        self, files, tmp_path, monkeypatch, forget
    ):
        """The last digits of a network's features depend on the size of a batch."""
        monkeypatch.setattr(extraction, 'NOTE_EVERY', -1)
        killed(10, Sums(), files, BOTH, tmp_path, batch_size=2)
        assert note_of(tmp_path)['done'] in (6, 8)
        forget()
        cached_features(Sums(), files, BOTH, tmp_path, batch_size=5)
        assert len(forget()['images']) == 10


def test_two_processes_share_the_work(files, tmp_path, monkeypatch):
    number = multiprocessing.Value('i', 0)
    read = extraction.read_image

    def slow(info):
        with number.get_lock():
            number.value += 1
        time.sleep(0.02)
        return read(info)

    expected = cached_features(Sums(), files, BOTH, tmp_path / 'other')
    monkeypatch.setattr(extraction, 'read_image', slow)

    def extract():
        rows = cached_features(Sums(), files, BOTH, tmp_path / 'cache', batch_size=2)
        os._exit(0 if equal(rows, expected) else 1)

    children = [fork(extract) for _ in range(3)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert number.value == 10


class TestDamaged:
    @pytest.mark.parametrize(
        'damage',
        [
            lambda content: content[:-4],
            lambda content: content[:100],
            lambda content: content[:9],
            lambda content: b'',
            lambda content: b'no array',
        ],
        ids=['last number', 'header', 'magic', 'empty', 'text'],
    )
    def test_array_is_computed_again(self, files, tmp_path, damage):
        first = cached_features(Sums(), files, BOTH, tmp_path)
        first = {name: np.array(rows) for name, rows in first.items()}
        (path,) = tmp_path.glob('*/logits-*.npy')
        content = damage(path.read_bytes())
        path.unlink()
        path.write_bytes(content)
        assert equal(cached_features(Sums(), files, BOTH, tmp_path), first)

    @pytest.mark.parametrize('value', [np.nan, np.inf])
    def test_features_that_are_not_finite_are_computed_again(
        self, files, tmp_path, value
    ):
        first = cached_features(Sums(), files, BOTH, tmp_path)
        first = {name: np.array(rows) for name, rows in first.items()}
        (path,) = tmp_path.glob('*/logits-*.npy')
        rows = np.load(path)
        rows[3] = value
        np.save(path, rows)
        assert equal(cached_features(Sums(), files, BOTH, tmp_path), first)

    @pytest.mark.parametrize(
        'rows',
        [
            np.zeros(10, np.float32),
            np.zeros((10, 3), int),
            np.zeros((9, 3), np.float32),
        ],
        ids=['a column', 'whole numbers', 'too few'],
    )
    def test_another_array_is_computed_again(self, files, tmp_path, rows):
        first = cached_features(Sums(), files, BOTH, tmp_path)
        first = {name: np.array(each) for name, each in first.items()}
        (path,) = tmp_path.glob('*/logits-*.npy')
        np.save(path, rows)
        assert equal(cached_features(Sums(), files, BOTH, tmp_path), first)

    @pytest.mark.parametrize('name', ['progress.json', 'pooled.part'])
    @pytest.mark.parametrize('text', ['', '{"done"', '[1]', '{"done": "x"}'])
    def test_what_a_kill_left_is_damaged(
        self, files, tmp_path, monkeypatch, name, text
    ):
        cache = tmp_path / 'cache'
        expected = cached_features(Sums(), files, ['pooled'], tmp_path / 'other')
        monkeypatch.setattr(extraction, 'NOTE_EVERY', -1)
        killed(10, Sums(), files, ['pooled'], cache, batch_size=2)
        (path,) = cache.glob(f'*/{name}')
        path.write_text(text)
        rows = cached_features(Sums(), files, ['pooled'], cache, batch_size=2)
        assert equal(rows, expected)

    def test_image_is_named_and_nothing_is_lost(
        self, network, files, tmp_path, forget, noise
    ):
        expected = cached_features(
            network, files, BOTH, tmp_path / 'other', batch_size=2
        )
        path = Path(files.get_data_info(7)['img_path'])
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(
            DataError, match=r'/7\.png cannot be read as an image: .*tr'
        ):
            cached_features(network, files, BOTH, tmp_path / 'cache', batch_size=2)
        path.write_bytes(whole)
        forget()
        rows = cached_features(network, files, BOTH, tmp_path / 'cache', batch_size=2)
        assert forget()['images'] == ['6.png', '7.png', '8.png', '9.png']
        assert equal(rows, expected)

    def test_repair_of_what_was_read_already(self, files, tmp_path, noise):
        """As where a picture was taken for another."""
        path = Path(files.get_data_info(7)['img_path'])
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError):
            cached_features(Sums(), files, BOTH, tmp_path / 'cache', batch_size=2)
        path.write_bytes(whole)
        other = Path(files.get_data_info(1)['img_path'])
        Image.fromarray(noise(1, seed=1)[0]).resize((32, 32)).save(other)
        os.utime(other, ns=(0, 0))
        rows = cached_features(Sums(), files, BOTH, tmp_path / 'cache', batch_size=2)
        expected = cached_features(
            Sums(), files, BOTH, tmp_path / 'other', batch_size=2
        )
        assert equal(rows, expected)

    def test_missing_image(self, files, tmp_path):
        path = Path(files.get_data_info(4)['img_path'])
        path.unlink()
        with pytest.raises(DataError, match=r'/4\.png cannot be read: No such file'):
            cached_features(Sums(), files, BOTH, tmp_path)


class TestRefused:
    def refused(self, error, network, dataset, cache, **options):
        with pytest.raises(error) as caught:
            cached_features(network, dataset, ['pooled'], cache, **options)
        message = str(caught.value)
        assert '\n' not in message and 'Errno' not in message and message[-1] == '.'
        return message

    def test_no_space_is_known_before(self, files, tmp_path, monkeypatch):
        usage = shutil.disk_usage(tmp_path)._replace(free=5_000_000)
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
        network, cache = Sums(), tmp_path / 'cache'
        network.features = lambda images, layers: dict(pooled=torch.zeros(10, 300_000))
        message = self.refused(OutputError, network, files, cache)
        why = r'the disk is full \(12.0 MB needed, 5.0 MB free\); free some space.'
        assert re.fullmatch(rf'{cache}/\w+ cannot be written: {why}', message)

    def test_what_is_overwritten_is_free(self, files, tmp_path, monkeypatch):
        """Parts of an extraction that was killed with another size of batches."""
        monkeypatch.setattr(extraction, 'NOTE_EVERY', -1)
        path = Path(files.get_data_info(7)['img_path'])
        whole = path.read_bytes()
        path.write_bytes(b'')
        with pytest.raises(DataError):
            cached_features(Sums(), files, ['pooled'], tmp_path / 'cache', batch_size=2)
        path.write_bytes(whole)
        usage = shutil.disk_usage(tmp_path)

        def free(folder):
            parts = sum(part.stat().st_size for part in folder.glob('*.part'))
            return usage._replace(free=150 - parts)

        monkeypatch.setattr(shutil, 'disk_usage', free)
        cached_features(Sums(), files, ['pooled'], tmp_path / 'cache', batch_size=5)

    def test_a_disk_that_fills_up(self, files, tmp_path, monkeypatch):
        def full(*args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, 'posix_fallocate', full)
        message = self.refused(OutputError, Sums(), files, tmp_path / 'cache')
        assert 'cache cannot be written: the disk is full (' in message
        monkeypatch.undo()
        rows = cached_features(Sums(), files, ['pooled'], tmp_path / 'cache')
        expected = cached_features(Sums(), files, ['pooled'], tmp_path / 'other')
        assert equal(rows, expected)

    @pytest.mark.parametrize('below', ['', 'features'])
    def test_a_file_in_place_of_the_cache(self, files, tmp_path, below):
        (tmp_path / 'file').touch()
        cache = tmp_path / 'file' / below
        message = self.refused(OutputError, Sums(), files, cache)
        assert message.startswith(str(cache))
        assert f'cannot be written: {tmp_path}/file is not a folder' in message

    @pytest.mark.parametrize('value', [float('nan'), float('inf')])
    def test_features_that_are_not_finite(
        self, toy_config, files, tmp_path, monkeypatch, value, datasets, noise
    ):
        network = Network(toy_config, name='kd', device='cpu')
        features = network.features

        def broken(images, layers):
            rows = features(images, layers)
            rows['pooled'][1, 3] = value
            return rows

        network.features = broken
        message = self.refused(DataError, network, files, tmp_path, batch_size=20)
        assert message.startswith("kd: the features of 'pooled' are not finite for im")
        assert '/1.png; check the checkpoint' in message
        arrays = datasets[0](noise(5))
        message = self.refused(DataError, network, arrays, tmp_path, batch_size=20)
        assert 'for image number 1; check' in message
        assert not list(tmp_path.glob('*/*.npy'))

    def test_images_of_several_sizes(self, files, tmp_path):
        path = files.get_data_info(2)['img_path']
        Image.new('RGB', (40, 30)).save(path)
        message = self.refused(ConfigError, Sums(), files, tmp_path)
        assert 'several sizes ((3, 30, 40), (3, 32, 32)); give --input-size' in message

    def test_no_images(self, tmp_path):
        message = self.refused(DataError, Sums(), [], tmp_path)
        assert message == 'list holds no images.'

    def test_batches_of_none(self, files, tmp_path):
        message = self.refused(ConfigError, Sums(), files, tmp_path, batch_size=0)
        assert message == 'batch_size=0, but it must be at least 1.'

    def test_a_layer_that_is_not_there(self, network, files, tmp_path):
        with pytest.raises(ConfigError, match="has no module 'backbone.layer7'"):
            cached_features(network, files, ['pooled', 'backbone.layer7'], tmp_path)
        rows = cached_features(network, files, ['pooled'], tmp_path)
        assert rows['pooled'].shape == (10, 64)


def test_memory_does_not_grow_with_the_images(toy_config, tmp_path):
    size = 64

    class Made:
        """Makes its images when they are asked for."""

        def __init__(self, number):
            self.number = number

        def __len__(self):
            return self.number

        def get_data_info(self, index):
            image = np.full((size, size, 3), index % 256, np.uint8)
            image[0, 0] = index // 256
            return dict(img=image)

    pixels = Pixels(toy_config, input_size=4)
    peaks = []
    for number in (200, 2000):
        tracemalloc.start()
        rows = cached_features(
            pixels, Made(number), ['pooled'], tmp_path, batch_size=50
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert rows['pooled'].shape == (number, 48)
    images = 1800 * size * size * 3
    assert peaks[1] - peaks[0] < images / 20
