"""Entries: what is to be probed, as named on the command line."""

import pytest
import torch

from mmkd.errors import ConfigError
from mmkd.transfer import Entry, Network, Pixels, parse_entries


def names(*texts):
    return [entry.name for entry in parse_entries(list(texts), 'c.py')]


@pytest.mark.parametrize(
    'text, expected',
    [
        ('a.pth', Entry('a', 'a.pth', 'c.py')),
        ('kd=a.pth', Entry('kd', 'a.pth', 'c.py')),
        ('kd=a.pth@other.py', Entry('kd', 'a.pth', 'other.py')),
        ('a.pth@other.py', Entry('a', 'a.pth', 'other.py')),
        ('a.pth@mmpretrain::r.py', Entry('a', 'a.pth', 'mmpretrain::r.py')),
        ('runs/lr=1/a.pth', Entry('a', 'runs/lr=1/a.pth', 'c.py')),
        ('kd=runs/lr=1/a.pth', Entry('kd', 'runs/lr=1/a.pth', 'c.py')),
        ('https://x.org/a.pth?key=1', Entry('a', 'https://x.org/a.pth?key=1', 'c.py')),
        ('kd=me@home/a.pth', Entry('kd', 'me@home/a.pth', 'c.py')),
        ('kd=me@home/a.pth@o.py', Entry('kd', 'me@home/a.pth', 'o.py')),
        ('random', Entry('random', 'random', 'c.py')),
        ('pixels@o.py', Entry('pixels', 'pixels', 'o.py')),
        ('floor=random', Entry('floor', 'random', 'c.py')),
        ('=a.pth', Entry('a', 'a.pth', 'c.py')),
    ],
)
def test_parts(text, expected):
    assert parse_entries([text], 'c.py') == [expected]


def test_names_are_what_differs():
    assert names('w/kd/seed0/epoch_9.pth', 'w/luminet/seed0/epoch_9.pth', 'random') == [
        'kd', 'luminet', 'random',
    ]  # fmt: skip
    assert names('w/kd/0/last.pth', 'w/kd/1/last.pth', 'w/dkd/0/last.pth') == [
        'kd/0', 'kd/1', 'dkd/0',
    ]  # fmt: skip
    assert names('w/run/last.pth', 'w/last.pth') == ['run', 'w']
    assert names('w/kd/a.pth', 'mine=w/at/a.pth') == ['kd', 'mine']
    assert names('https://x.org/a.pth', 'https://x.org/b.pth') == ['a', 'b']


def test_runs_of_one_method_share_a_name_that_is_given():
    entries = parse_entries(['kd=a.pth', 'kd=b.pth', 'none=c.pth'], 'c.py')
    assert [entry.name for entry in entries] == ['kd', 'kd', 'none']


@pytest.mark.parametrize('text', ['', 'kd=', '@c.py', 'kd=@c.py'])
def test_no_checkpoint(text):
    with pytest.raises(ConfigError, match=r'names no checkpoint; give \[NAME=\]CHECK'):
        parse_entries([text], 'c.py')


@pytest.mark.parametrize('twice', [['a.pth'] * 2, ['random'] * 2, ['kd=a.pth'] * 2])
def test_the_same_twice(twice):
    with pytest.raises(ConfigError, match='is given twice'):
        parse_entries([*twice, 'b.pth'], 'c.py')


@pytest.mark.parametrize(
    'texts',
    [
        ['a.pth', 'a.pth@other.py'],
        ['random', 'random@other.py'],
        ['kd.pth', 'kd.pt'],
        ['w/kd/a.pth', 'w/none/a.pth', 'kd=w/at/a.pth'],
        ['w/a/b/x.pth', 'w/b/a/x.pth'],
    ],
)
def test_no_name_is_shared_by_chance(texts):
    """They would be taken as runs of one method."""
    with pytest.raises(ConfigError, match='as another entry is; name it: NAME='):
        parse_entries(texts, 'c.py')


class TestBuild:
    @pytest.fixture
    def config(self, toy_config, tmp_path):
        toy_config.dump(tmp_path / 'config.py')
        return str(tmp_path / 'config.py')

    def test_a_checkpoint(self, toy_config, trained, config):
        checkpoint = trained(toy_config)
        network = Entry('kd', checkpoint, config).build(input_size=48, device='cpu')
        assert network.name == 'kd'
        expected = Network(toy_config, checkpoint, input_size=48)
        assert network.fingerprint() == expected.fingerprint()

    def test_random_weights_are_of_the_seed(self, toy_config, config):
        given = {
            Entry('a', 'random', config).build(seed=s).fingerprint() for s in (0, 1)
        }
        assert given == {Network(toy_config, seed=s).fingerprint() for s in (0, 1)}
        assert len(given) == 2

    def test_pixels(self, config, noise):
        pixels = Entry('floor', 'pixels', config).build(input_size=8)
        assert isinstance(pixels, Pixels) and pixels.name == 'floor'
        image = torch.from_numpy(pixels.transform(noise(1)[0]))
        given = pixels.features(image[None], ['pooled'])['pooled']
        assert given.shape == (1, 3 * 8 * 8) and 0 <= given.min() < given.max() <= 1
        torch.testing.assert_close(given[0] * 255, image.flatten().float())
        other = Entry('floor', 'pixels', config).build(input_size=9)
        assert pixels.fingerprint() != other.fingerprint()
        with pytest.raises(
            ConfigError, match='pixels have no layers, but pooled, neck'
        ):
            pixels.features(image[None], ['pooled', 'neck'])


def test_a_checkpoint_of_a_training_is_named_by_its_folder():
    assert names('w/kd_a_b/epoch_2.pth') == ['kd_a_b']
    assert names('w/kd_a_b/best_accuracy_top1_epoch_7.pth') == ['kd_a_b']
    assert names('w/kd_a_b/resnet56.pth') == ['resnet56']
