"""Writing in one step, and what is said where that is not possible."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mmkd.errors import DamagedError, DataError, OutputError
from mmkd.files import check_writable, read_json, write_bytes, write_text
from mmkd.locks import locked
from mmkd.records import read_record, write_record

#: Where each step of a write can fail.
STEPS = ('builtins.open', 'os.fsync', 'os.replace')
NUMBERS = {
    errno.ENOSPC: r'the disk is full \(0\.0 MB needed, \d+\.\d MB free\); free some',
    errno.EDQUOT: 'your share of the disk is used up',
    errno.EROFS: 'the disk is read-only',
    errno.EFBIG: 'larger than is allowed',
    errno.EACCES: 'permission denied; choose another place',
    errno.EIO: 'input/output error',
}


def sentence(caught) -> str:
    text = str(caught.value)
    assert text.endswith('.') and '\n' not in text and 'Errno' not in text
    return text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize('step', STEPS)
@pytest.mark.parametrize('number', NUMBERS)
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, step, number):
    path = tmp_path / 'result.json'
    write_text(path, 'old')

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        with pytest.raises(OutputError, match=NUMBERS[number]) as caught:
            write_text(path, 'new')
    assert f'{path} cannot be written: ' in sentence(caught)
    assert path.read_text() == 'old' and names(tmp_path) == ['result.json']


@pytest.mark.parametrize('step', STEPS)
def test_an_interrupt_leaves_what_was_there(tmp_path, monkeypatch, step):
    path = tmp_path / 'result.json'
    write_text(path, 'old')

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_text(path, 'new')
    assert path.read_text() == 'old' and names(tmp_path) == ['result.json']


def test_what_is_written_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ('fsync', 'replace'):
        call = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, n=name, c=call: calls.append(n) or c(*a)
        )
    write_text(tmp_path / 'new/folder/file', 'text')
    assert calls == ['fsync', 'replace']
    assert (tmp_path / 'new/folder/file').read_text() == 'text'


def places(tmp_path):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'loose').symlink_to(tmp_path / 'nowhere')
    return {
        'folder': 'it is a folder',
        'file/a': f'{tmp_path}/file is not a folder',
        'file/a/b/c': f'{tmp_path}/file is not a folder',
        'loose/a': f'{tmp_path}/loose is not a folder',
        f'{"x" * 300}/a': 'name too long',
    }


@pytest.mark.parametrize('call', [check_writable, lambda path: write_text(path, 'x')])
@pytest.mark.parametrize('number', range(5))
def test_places_that_cannot_be_written(tmp_path, call, number):
    place, why = [*places(tmp_path).items()][number]
    before = names(tmp_path)
    with pytest.raises(OutputError, match=why) as caught:
        call(tmp_path / place)
    assert str(tmp_path / place) in sentence(caught)
    assert names(tmp_path) == before


def test_trying_leaves_nothing_behind(tmp_path):
    (tmp_path / 'file').write_text('text')
    for place in ('file', 'other', 'new/folder/file'):
        check_writable(tmp_path / place)
    assert names(tmp_path) == ['file'] and (tmp_path / 'file').read_text() == 'text'


def test_a_full_disk_is_known_before(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        return open('/dev/full', 'wb', buffering=0)

    monkeypatch.setattr('tempfile.TemporaryFile', full)
    with pytest.raises(
        OutputError, match=r'the disk is full \(0\.1 MB needed'
    ) as caught:
        check_writable(tmp_path / 'new/file')
    sentence(caught)


def test_devices_are_written_to_and_not_replaced():
    with pytest.raises(OutputError, match='/dev/full cannot be written: the disk is f'):
        write_bytes('/dev/full', b'x')
    write_bytes('/dev/null', b'x')
    for device in ('/dev/null', '/dev/full'):
        check_writable(device)
        assert Path(device).is_char_device()


def test_a_limit_on_the_size_of_files(tmp_path):
    """As a process meets a full disk: in the midst of a write."""
    path = tmp_path / 'weights.pth'
    write_bytes(path, b'old')
    code = (
        'import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
        'from mmkd.files import write_bytes\n'
        'write_bytes(sys.argv[1], bytes(10**6))'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, path],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, 10**5)),
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1])),
        capture_output=True,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert f'OutputError: {path} cannot be written: the file would be larger' in last
    assert path.read_bytes() == b'old' and names(tmp_path) == ['weights.pth']


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write everywhere')
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o555)
    for call in (check_writable, lambda path: write_text(path, 'x')):
        with pytest.raises(OutputError, match='permission denied'):
            call(tmp_path / 'file')


def test_a_lock_where_nothing_can_be_written(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match='file is not a folder') as caught:
        with locked(tmp_path / 'file/work'):
            pass
    sentence(caught)


def test_json_that_cannot_be_read(tmp_path):
    assert read_json(tmp_path / 'none.json') == {}
    with pytest.raises(DataError, match='cannot be read: Is a directory'):
        read_json(tmp_path)
    (tmp_path / 'half.json').write_text('{"a": 1')
    with pytest.raises(DamagedError, match='half.json is damaged'):
        read_json(tmp_path / 'half.json')


class TestRecords:
    def test_say_their_format(self, tmp_path):
        path = tmp_path / 'a.json'
        write_record(path, 'mmkd.a/1', dict(x=1))
        assert read_json(path) == dict(format='mmkd.a/1', x=1)
        assert read_record(path, 'mmkd.a/1', dict(x=int), 'go') == dict(x=1)
        for other in ('mmkd.a/2', 'mmkd.b/1'):
            with pytest.raises(DataError, match="of the format 'mmkd.a/1'.*this mmkd"):
                read_record(path, other, {}, 'go')

    def test_of_before_formats_are_read(self, tmp_path):
        (tmp_path / 'a.json').write_text('{"x": 1}')
        assert read_record(tmp_path / 'a.json', 'mmkd.a/1', dict(x=int), 'go')

    @pytest.mark.parametrize(
        'text, kind, says',
        [
            ('{}', int, 'it has no x'),
            ('{"x": "1"}', int, "x is '1'"),
            ('{"x": true}', int, 'x is True'),
            ('{"x": NaN}', (int, float), 'x is nan'),
            ('{"x": 1e999}', (int, float), 'x is inf'),
            ('{"x": 1}', bool, 'x is 1'),
            ('{"x": [1, "a"]}', [int], 'x is '),
            ('{"x": {"a": null}}', {str: str}, 'x is '),
            ('{"x": 3}', lambda value: value > 3, 'x is 3'),
            ('[1]', int, 'it holds .1., not an object'),
            ('nul', int, 'Expecting value'),
            ('[' * 100000, int, 'recursion'),
        ],
    )
    def test_what_is_damaged_is_named(self, tmp_path, text, kind, says):
        (tmp_path / 'a.json').write_text(text)
        with pytest.raises(DamagedError, match=rf'is damaged \(.*{says}.*; go\.') as c:
            read_record(tmp_path / 'a.json', 'mmkd.a/1', dict(x=kind), 'go')
        assert len(sentence(c)) < 300


def test_a_link_where_a_file_is_written_first_is_not_followed(tmp_path):
    victim = tmp_path / 'victim'
    victim.write_text('years of work')
    (tmp_path / 'out.json.part').symlink_to(victim)
    write_text(tmp_path / 'out.json', 'new')
    assert victim.read_text() == 'years of work'
    assert (tmp_path / 'out.json').read_text() == 'new'
