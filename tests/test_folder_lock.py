"""A folder that one process owns, whatever lies at its lock's place."""

import math
import os
import threading

import pytest

from mmkd.errors import ConfigError, MMKDError
from mmkd.locks import locked


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'mine').mkdir()
    return tmp_path / 'mine'


def test_a_link_is_neither_followed_nor_emptied(folder):
    precious = folder.with_name('precious')
    precious.write_text('years of work')
    (folder / 'lock').symlink_to(precious)
    with pytest.raises(ConfigError, match='is a link') as error:
        with locked(folder):
            pass
    assert str(folder / 'lock') in str(error.value)
    assert precious.read_text() == 'years of work'


def test_a_link_to_nothing_makes_nothing(folder):
    (folder / 'lock').symlink_to(folder.with_name('absent'))
    with pytest.raises(ConfigError, match='is a link'):
        with locked(folder):
            pass
    assert not folder.with_name('absent').exists()


@pytest.mark.parametrize('make, words', [(os.mkdir, 'a folder'), (os.mkfifo, 'a file')])
def test_what_is_no_file_is_named(folder, make, words):
    make(folder / 'lock')
    with pytest.raises(MMKDError, match=words):
        with locked(folder):
            pass


def test_a_file_keeps_what_is_in_it(folder):
    (folder / 'lock').write_text('a note')
    with locked(folder):
        pass
    assert (folder / 'lock').read_text() == 'a note'


def test_a_linked_folder_may_be_owned(folder):
    link = folder.with_name('link')
    link.symlink_to(folder)
    with locked(link), pytest.raises(ConfigError, match='in use'):
        with locked(folder, patience=0):
            pass


def test_waiting_is_said_once(folder):
    waiting, order = threading.Event(), []

    def second():
        with locked(folder, math.inf, on_wait=waiting.set):
            order.append('second')

    thread = threading.Thread(target=second)
    with locked(folder):
        thread.start()
        assert waiting.wait(10)
        order.append('first')
    thread.join()
    assert order == ['first', 'second']
