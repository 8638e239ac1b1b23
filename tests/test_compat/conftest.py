"""Files that run code, files that do not, and a server of both."""

import functools
import http.server
import multiprocessing
import os
import threading

import pytest
import torch
from torch import nn

from mmkd.compat import checkpoints, restricted_pickle


class Call:
    """Pickles as the call of a function, with a state for what it returns, if any."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.call


@pytest.fixture
def call():
    return Call


@pytest.fixture
def marker(tmp_path):
    return tmp_path / 'executed'


@pytest.fixture
def evil(tmp_path, marker):
    path = tmp_path / 'evil.pth'
    weights = nn.Linear(2, 2).state_dict()
    torch.save({'state_dict': weights, 'x': Call(os.mkdir, str(marker))}, path)
    return path


@pytest.fixture
def good(tmp_path):
    path = tmp_path / 'good.pth'
    torch.save({'state_dict': nn.Linear(2, 2).state_dict()}, path)
    return path


@pytest.fixture
def url(tmp_path, monkeypatch):
    """The address of a server of ``tmp_path``; a cache of its own for downloads."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        thread.join()


@pytest.fixture
def forked():
    """Call a function in a child; return its exit status and what it gave."""

    def run(function, *args, seconds=120):
        context = multiprocessing.get_context('fork')
        mine, childs = context.Pipe(duplex=False)

        def child():
            mine.close()
            childs.send(function(*args))

        process = context.Process(target=child)
        process.start()
        childs.close()
        try:
            result = mine.recv() if mine.poll(seconds) else 'nothing in time'
        except EOFError:
            result = None
        process.join(1 if result == 'nothing in time' else None)
        if process.exitcode is None:
            process.kill()
            process.join()
        return process.exitcode, result

    return run


READERS = {'restricted': restricted_pickle.torch_load}
if checkpoints._torch_load is not restricted_pickle.torch_load:
    READERS['weights_only'] = checkpoints._weights_only_load


@pytest.fixture(params=READERS)
def reader(request, monkeypatch):
    """Reads as on new and as on old versions of torch."""
    monkeypatch.setattr(checkpoints, '_torch_load', READERS[request.param])
    return request.param
