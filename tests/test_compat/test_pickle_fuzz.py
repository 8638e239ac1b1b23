"""Pickles by chance: refused or loaded, never a crash, a hang or an import.

The counts are in the child's answer: ``pytest -s`` shows them.
"""

import io
import pickle
import pickletools
import random
import resource
import signal
import sys
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn
from torch._weights_only_unpickler import _get_allowed_globals

from mmkd.compat import pickled, restricted_pickle
from mmkd.compat.checkpoints import safe_load
from mmkd.compat.safe_globals import SAFE_GLOBALS
from mmkd.errors import CheckpointError

FILES = 1500
NAMES = sorted({*SAFE_GLOBALS, *_get_allowed_globals()})
NUMBERS = [0, 1, 2, 3, -1, -8, 255, 2**31 - 1, -(2**31)]
TEXTS = [
    'b', 'f8', 'O', 'V8', 'i4', 'U3', 'S5', '>f4', 'f8,O', '<', '|', 'latin1', 'zlib',
    'idna', 'mean', '__class__', 'storage', 'cpu', '0', '1', 'data', '_log_history',
    '_count_history', 'max_length', 'statistics_methods', 'value', '__setstate__',
]  # fmt: skip
#: PyTorch's own list lets a file ask for a codec, and makes nested tensors.
ITS_OWN = ('encodings.', 'stringprep', 'torch.')
WATCHED = ('import', 'os.', 'subprocess.', 'socket.', 'pickle.')
IMPORTING = ('os.listdir', 'os.scandir')


def checkpoint():
    """What a Runner's checkpoint has, and what pickles it brings."""
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    history = HistoryBuffer()
    for value in (1.5, 2.5):
        history.update(value)
    return dict(
        state_dict=model.state_dict(),
        optimizer=optimizer.state_dict(),
        message_hub=dict(log_scalars={'train/loss': history}, resumed_keys={}),
        param_schedulers=[dict(milestones=Counter([3, 5]), last_step=2)],
        meta=dict(
            seed=np.int64(3),
            score=np.float32(0.5),
            classes=np.array(['cat', 'dog']),
            palette=np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3)),
            random=np.random.get_state()[2:],
        ),
    )


class Archive:
    """A checkpoint's file, with another pickle in it."""

    def __init__(self):
        whole, self.rest = io.BytesIO(), io.BytesIO()
        torch.save(checkpoint(), whole)
        with zipfile.ZipFile(whole) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        (self.place,) = (name for name in files if name.endswith('data.pkl'))
        self.pickle = files.pop(self.place)
        with zipfile.ZipFile(self.rest, 'w') as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    def holding(self, pickled):
        file = io.BytesIO(self.rest.getvalue())
        with zipfile.ZipFile(file, 'a') as archive:
            archive.writestr(self.place, pickled)
        file.seek(0)
        return file


class Programs:
    """Values, calls and states of what the readers know."""

    def __init__(self, rng):
        self.rng, self.kept = rng, 0

    def __call__(self):
        self.kept = 0
        return b'\x80\x02' + self.value(self.rng.randint(2, 6)) + b'.'

    def value(self, depth):
        kinds = [self.number, self.text, self.name, self.constant]
        if depth > 0:
            kinds += [self.items, self.call, self.call, self.new, self.build]
            kinds += [self.array, self.storage, self.keep, self.again]
        return self.rng.choice(kinds)(depth - 1)

    def number(self, depth=0):
        value = self.rng.choice(NUMBERS)
        return b'J' + value.to_bytes(4, 'little', signed=True)

    def text(self, depth=0, text=None):
        text = (text or self.rng.choice(TEXTS)).encode()
        return b'X' + len(text).to_bytes(4, 'little') + text

    def name(self, depth=0, name=None):
        module, _, attribute = (name or self.rng.choice(NAMES)).rpartition('.')
        return f'c{module}\n{attribute}\n'.encode()

    def constant(self, depth):
        return self.rng.choice([b'N', b'\x88', b'\x89', b')', b']', b'}', b'\x8f'])

    def items(self, depth):
        count = self.rng.randint(0, 5)
        values = b''.join(self.value(depth) for _ in range(count))
        pairs = b''.join(self.text() + self.value(depth) for _ in range(count))
        return self.rng.choice([b'(' + values + b't', b'](' + values + b'e',
                                b'}(' + pairs + b'u'])  # fmt: skip

    def function(self):
        """Half of the time one of this project's list."""
        names = self.rng.choice([NAMES, list(SAFE_GLOBALS)])
        return self.name(name=self.rng.choice(names))

    def arguments(self, depth):
        count = self.rng.randint(0, 5)
        return b'(' + b''.join(self.value(depth) for _ in range(count)) + b't'

    def call(self, depth):
        return self.function() + self.arguments(depth) + b'R'

    def new(self, depth):
        return self.function() + self.arguments(depth) + b'\x81'

    def build(self, depth):
        return self.value(depth) + self.value(depth) + b'b'

    def array(self, depth):
        """As numpy writes it, but for a part here and there."""

        def mostly(part):
            return part if self.rng.random() < 0.8 else self.value(depth)

        dtype = self.name(name='numpy.dtype') + b'(' + mostly(self.text(text='f8'))
        dtype += b'\x89\x88tR(K\x03' + mostly(self.text(text='<')) + b'NNN'
        dtype += mostly(b'K\x01') + mostly(b'K\x01') + b'K\x00tb'
        data = self.name(name='_codecs.encode') + b'(' + self.text(text='a' * 16)
        data += mostly(self.text(text='latin1')) + b'tR'
        empty = self.name(name='numpy.core.multiarray._reconstruct') + b'('
        empty += mostly(self.name(name='numpy.ndarray')) + mostly(b'(K\x00t')
        empty += mostly(self.text(text='b')) + b'tR'
        state = b'(K\x01' + mostly(b'(K\x02t') + mostly(dtype) + mostly(b'\x89')
        return empty + state + mostly(data) + b'tb'

    def storage(self, depth):
        kind = self.rng.choice(['Float', 'Long', 'Byte', 'Bool', 'Half'])
        place = self.text(text=self.rng.choice('0123')) + self.text(text='cpu')
        size = self.rng.choice([b'K\x06', b'K\x02', self.number()])
        kind = self.name(name=f'torch.{kind}Storage')
        return b'(' + self.text(text='storage') + kind + place + size + b'tQ'

    def keep(self, depth):
        self.kept += 1
        return self.value(depth) + b'q' + bytes([self.kept % 256])

    def again(self, depth):
        return b'h' + bytes([self.rng.randint(0, max(self.kept, 1)) % 256])


class Mutations:
    """A real pickle with a few opcodes gone, doubled, swapped, bent or renamed."""

    def __init__(self, rng, whole):
        self.rng = rng
        starts = [place for _, _, place in pickletools.genops(whole)]
        self.parts = [whole[a:b] for a, b in zip(starts, [*starts[1:], None])]

    def __call__(self):
        parts = list(self.parts)
        for _ in range(self.rng.randint(1, 3)):
            place, other = (self.rng.randrange(1, len(parts)) for _ in range(2))
            change = self.rng.randrange(6)
            if change == 0:
                del parts[place]
            elif change == 1:
                parts.insert(place, parts[other])
            elif change == 2:
                parts[place], parts[other] = parts[other], parts[place]
            elif change == 3:
                part = bytearray(parts[place])
                part[self.rng.randrange(len(part))] = self.rng.randrange(256)
                parts[place] = bytes(part)
            elif change == 4:
                self.replace(parts, b'c', Programs(self.rng).function())
            else:
                self.replace(parts, b'KMJ', Programs(self.rng).number())
        return b''.join(parts)

    def replace(self, parts, opcodes, new):
        places = [at for at, part in enumerate(parts) if part[:1] in opcodes]
        parts[self.rng.choice(places)] = new


def state():
    """What a file must not change, since the whole process shares it."""
    owners = (HistoryBuffer, torch.Tensor, nn.Parameter, pickled, restricted_pickle)
    kept = {owner.__name__: dict(vars(owner)) for owner in owners}
    for values in kept.values():
        values.pop('__warningregistry__', None)
    kept = {name: repr(sorted(values.items())) for name, values in kept.items()}
    kept['statistics'] = repr(HistoryBuffer._statistics_methods)
    kept['dtypes'] = repr([np.dtype(code) for code in '?bBhHiIlLqQefdgFDGSU'])
    return kept


class Hang(BaseException):
    pass


class Watch:
    """Notes what a load does beside loading; rings after ten seconds."""

    def __init__(self):
        self.on, self.seen = False, set()
        sys.addaudithook(self.note)
        signal.signal(signal.SIGALRM, self.ring)

    def note(self, event, args):
        if self.on and event.startswith(WATCHED) and event not in IMPORTING:
            what = str(args[0]) if args else ''
            if event != 'import' or not what.startswith(ITS_OWN):
                self.seen.add(f'{event} {what}')

    def ring(self, *_):
        raise Hang

    def __enter__(self):
        signal.alarm(10)
        self.on = True

    def __exit__(self, *_):
        self.on = False
        signal.alarm(0)


def limit_memory():
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    most = pages * resource.getpagesize() + 2**30
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def fuzz(load, source, whole, refusal):
    """Load what chance makes; return counts and what must be empty.

    Args:
        load: Takes a pickle.
        source: Makes one.
        whole: One that has to load, before and after.
        refusal: The only exceptions that are allowed.
    """
    warnings.simplefilter('ignore')
    limit_memory()
    load(whole)
    before, watch = state(), Watch()
    counts, others = Counter(), set()
    for _ in range(FILES):
        pickled = source()
        try:
            with watch:
                loaded = load(pickled)
        except refusal:
            counts['refused'] += 1
        except BaseException as error:
            counts['other'] += 1
            others.add(f'{error!r:.200} for {pickled!r:.2000}')
        else:
            counts['loaded'] += 1
            look_at(loaded)
    load(whole)
    changed = [key for key, value in state().items() if before[key] != value]
    return dict(counts), others, watch.seen, changed


def look_at(loaded):
    try:
        repr(loaded)
    except Exception:  # of a strange tensor
        pass


@pytest.mark.parametrize('kind', [Programs, Mutations])
def test_checkpoints(reader, kind, forked):
    archive, rng = Archive(), random.Random(0)
    source = Programs(rng) if kind is Programs else Mutations(rng, archive.pickle)

    def load(pickled):
        return safe_load(archive.holding(pickled))

    status, result = forked(fuzz, load, source, archive.pickle, CheckpointError)
    print(reader, kind.__name__, result)
    counts, *faults = result
    assert status == 0
    assert not any(faults)
    assert counts['loaded'] > 50 and counts['refused'] > 500


def test_pickles_of_data_sets(forked):
    """The reader of CIFAR's, which turns whatever it raises into a sentence."""
    entry = dict(data=np.arange(12, dtype=np.uint8), labels=[1, 2], names=['a', 'b'])
    whole, rng = pickle.dumps(entry, protocol=2), random.Random(0)
    sources = [Programs(rng), Mutations(rng, whole)]

    def load(pickled):
        file = io.BytesIO(pickled)
        return restricted_pickle.Unpickler(file, encoding='latin1').load()

    def source():
        return rng.choice(sources)()

    status, result = forked(fuzz, load, source, whole, Exception)
    print('data sets', result)
    counts, *faults = result
    assert status == 0
    assert not any(faults)
    assert counts['loaded'] > 50 and counts['refused'] > 500
