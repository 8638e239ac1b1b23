"""What must hold of every loss in a Distiller: alone, together, and over processes."""

import copy
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from mmpretrain.models import ImageClassifier
from torch._subclasses.fake_tensor import FakeTensorMode

from mmkd.models import Distiller, DistillLoss, losses
from mmkd.models.families.classifier import Classifier
from mmkd.models.pairings import Aligned
from mmkd.registry import FAMILIES, MODELS
from mmkd.testing import classification_batch

STAGES = [f'backbone.layer{number}' for number in (1, 2, 3)]
PREACTS = [f'{stage}.preact' for stage in STAGES]
POOLED = [*PREACTS, 'neck']
NORMS = [f'{stage}.1.bn2' for stage in STAGES]  # of two blocks a stage
CLASSES = 10
BRANCH = dict(type='StageClassifierAdapter', width=24)
NORMED = dict(type='ConvNormAdapter')
PLAIN = dict(type='ConvAdapter', bias=False)
RELU = dict(type='ConvNormAdapter', relu=True)
#: An entry of ``losses`` for each class.
ENTRIES = dict(
    loss_aekt=dict(type='AEKTLoss', on='logits'),
    loss_at=dict(type='ATLoss', on=STAGES),
    loss_crd=dict(type='CRDLoss', on='neck', num_samples=40, negatives=8, feat_dim=4),
    loss_ctkd=dict(type='CTKDLoss', on='logits'),
    loss_cwd=dict(
        type='CWDLoss', on=dict(student=STAGES, adapter=PLAIN), standardise=True
    ),
    loss_dist=dict(type='DISTLoss', on='logits'),
    loss_dkd=dict(type='DKDLoss', on='logits'),
    loss_fgd=dict(type='FGDLoss', on=STAGES, lambda_=0.01),
    loss_fitnet=dict(type='FitNetLoss', on=dict(student=STAGES[1], adapter=RELU)),
    loss_kd=dict(type='KDLoss', on='logits'),
    loss_lakd=dict(type='LAKDLoss', on=STAGES),
    loss_lskd=dict(type='LSKDLoss', on='logits', loss=dict(type='NKDLoss')),
    loss_luminet=dict(type='LumiNetLoss', on='logits', alpha=2.0),
    loss_mgd=dict(type='MGDLoss', on=STAGES, alpha=1e-3),
    loss_mlkd=dict(type='MLKDLoss', on='logits'),
    loss_nkd=dict(type='NKDLoss', on='logits'),
    loss_nst=dict(type='NSTLoss', on=STAGES),
    loss_ofa=dict(
        type='OFALoss', on=dict(pairing='logits', modules=STAGES, adapter=BRANCH)
    ),
    loss_ofd=dict(
        type='OFDLoss', on=dict(student=PREACTS, adapter=NORMED), norms=NORMS
    ),
    loss_pkd=dict(type='PKDLoss', on=dict(student=STAGES, adapter=PLAIN)),
    loss_pkt=dict(type='PKTLoss', on='neck'),
    loss_review_kd=dict(type='ReviewKDLoss', on=dict(student=POOLED)),
    loss_rkd=dict(type='RKDLoss', on='neck'),
    loss_sdd=dict(type='SDDLoss', on='cells.logits', loss=dict(type='DKDLoss')),
    loss_sp=dict(type='SPLoss', on=STAGES[-1]),
    loss_srrl=dict(type='SRRLLoss', on=dict(student='backbone', adapter=RELU)),
    loss_unikd=dict(
        type='UniKDLoss',
        on=dict(student=[*STAGES, 'neck', 'head'], teacher=[PREACTS[0], 'head']),
    ),
    loss_wsld=dict(type='WSLDLoss', on='logits'),
    loss_wttm=dict(type='WTTMLoss', on='logits'),
)
#: Those that train something of their own.
LEARNING = {
    'aekt',
    'crd',
    'ctkd',
    'cwd',
    'fgd',
    'fitnet',
    'lakd',
    'mgd',
    'ofa',
    'ofd',
    'pkd',
    'review_kd',
    'srrl',
    'unikd',
}
SGD = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))


@MODELS.register_module()
class LocalisingClassifier(ImageClassifier):
    """A classifier, of whose images it is known where the object is."""


@FAMILIES.register_module()
class Localising(Classifier):
    @classmethod
    def fits(cls, model):
        return isinstance(model, LocalisingClassifier)

    def samples(self, inputs):
        return locate(super().samples(inputs))


def locate(samples):
    """Say where the object is, as a detector's samples do."""
    for sample in samples:
        sample.set_metainfo(dict(batch_input_shape=(32, 32)))
        sample.gt_instances = InstanceData(bboxes=torch.tensor([[4.0, 4, 20, 12]]))
    return samples


def network(depth, widths):
    return dict(
        type='mmkd.LocalisingClassifier',
        _scope_='mmpretrain',
        backbone=dict(type='mmkd.CIFARResNet', depth=depth, widths=widths),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            in_channels=widths[-1],
            num_classes=CLASSES,
            topk=(1,),
            loss=dict(type='CrossEntropyLoss'),
        ),
        data_preprocessor=dict(mean=[127.5] * 3, std=[64.0] * 3),
    )


def distiller(names, dtype=torch.float32, **more):
    entries = copy.deepcopy({name: dict(ENTRIES[name], **more) for name in names})
    torch.manual_seed(0)
    student = network(8, (4, 4, 8, 12))
    model = Distiller(
        student if dtype == torch.float32 else MODELS.build(student).to(dtype),
        entries,
        teacher=dict(config=network(14, (4, 6, 12, 24)), allow_untrained=True),
        probe_size=(32, 32),
    )
    # Two seeds of the same networks: nobody is compared with itself.
    for term in model.terms:
        term.loss.see_training_set(torch.arange(40) % CLASSES)
    return model


def numbered_batch(n=6, seed=0):
    batch = classification_batch(n=n, classes=CLASSES, seed=seed)
    for number, sample in enumerate(batch['data_samples']):
        sample.set_gt_label((7 * number + seed) % CLASSES)
        sample.set_metainfo(dict(sample_idx=(7 * number + seed) % 40))
    locate(batch['data_samples'])
    return batch


def step(model, optim_wrapper, seed=0):
    torch.manual_seed(seed)  # CRD draws its negatives, by seed and iteration
    MessageHub.get_current_instance().update_info('iter', seed)
    return model.train_step(numbered_batch(seed=seed), optim_wrapper)


def value_of(name, model):
    torch.manual_seed(1)
    data = model.data_preprocessor(numbered_batch(), True)
    logged = model(data['inputs'], data['data_samples'], mode='loss')
    return logged[name].detach()


def test_every_exported_loss_is_here():
    exported = {
        name
        for name, item in vars(losses).items()
        if inspect.isclass(item) and item is not DistillLoss
    }
    assert {entry['type'] for entry in ENTRIES.values()} == exported


@pytest.mark.parametrize('name', ENTRIES)
class TestAlone:
    def test_teaches_the_student_and_trains_what_it_brought(self, name):
        model = distiller([name])
        own = dict(model.distill.named_parameters())
        assert bool(own) == (name[5:] in LEARNING)
        torch.manual_seed(0)
        data = model.data_preprocessor(numbered_batch(), True)
        losses = model(data['inputs'], data['data_samples'], mode='loss')
        assert losses[name].isfinite() and losses[name] > 0
        losses[name].backward()
        taught = [p.grad for p in model.student.backbone.parameters()]
        assert any(grad is not None and grad.abs().sum() > 0 for grad in taught)
        assert all(parameter.grad is not None for parameter in own.values())
        teacher = model.teachers['teacher'].model
        assert all(parameter.grad is None for parameter in teacher.parameters())

    def test_does_not_wait_for_the_device(self, name):
        """A fake tensor has no value to wait for: reading one raises."""
        model = distiller([name])
        (term,) = model.terms
        data = model.data_preprocessor(numbered_batch(), True)
        seen = {}
        term.register_forward_pre_hook(lambda module, args: seen.update(args=args))
        model(data['inputs'], data['data_samples'], mode='loss')
        aligned, samples = seen['args']
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            fake = Aligned(
                [
                    mode.from_tensor(tensor.detach()).requires_grad_()
                    for tensor in aligned[0]
                ],
                [mode.from_tensor(tensor.detach()) for tensor in aligned[1]],
                [
                    tensor if tensor is None else mode.from_tensor(tensor)
                    for tensor in aligned[2]
                ],
            )
            term(fake, samples).backward()

    def test_half_precision_stays_finite(self, name):
        model = distiller([name])
        with torch.autocast('cpu', torch.bfloat16):
            value = value_of(name, model)
        assert value.isfinite() and value.dtype == torch.float32

    def test_is_resumed_and_absent_from_the_student(self, name):
        model = distiller([name])
        wrapper = build_optim_wrapper(model, SGD)
        for seed in range(2):
            step(model, wrapper, seed)
        state = copy.deepcopy(model.state_dict())
        stock = distiller([name]).student.state_dict()
        students = {key for key in state if not key.startswith('distill.')}
        assert students == set(stock)
        resumed = distiller([name])
        resumed.load_state_dict(state)
        logs = [
            step(trained, build_optim_wrapper(trained, SGD), 2)
            for trained in (model, resumed)
        ]
        assert logs[0] == logs[1]

    def test_an_averaged_copy_saves_the_same_keys(self, name):
        model = distiller([name])
        wrapper = build_optim_wrapper(model, SGD)
        step(model, wrapper)  # what a loss keeps of a step is copied too
        averaged = ExponentialMovingAverage(model, momentum=0.5)
        before = copy.deepcopy(averaged.module.state_dict())
        step(model, wrapper, 1)
        averaged.update_parameters(model)
        after = averaged.module.state_dict()
        assert after.keys() == model.state_dict().keys()
        assert not torch.equal(after['head.fc.bias'], before['head.fc.bias'])
        shared = averaged.module.teachers['teacher'].model
        assert shared is model.teachers['teacher'].model

    def test_a_schedule_that_is_over_leaves_every_parameter_in_the_graph(self, name):
        model = distiller([name], weight=dict(value=1.0, stop=1, unit='iter'))
        MessageHub.get_current_instance().update_info('iter', 1)
        data = model.data_preprocessor(numbered_batch(), True)
        losses = model(data['inputs'], data['data_samples'], mode='loss')
        assert losses[name] == 0
        (losses[name] + losses['loss_student']).backward()
        assert all(p.grad is not None for p in model.distill.parameters())


@pytest.mark.parametrize('name', ['loss_crd', 'loss_fgd', 'loss_mgd', 'loss_review_kd'])
def test_of_a_student_in_half_precision_a_loss_learns_in_float32(name):
    model = distiller([name], torch.bfloat16)
    data = model.data_preprocessor(numbered_batch(), True)
    images = data['inputs'].bfloat16()
    value = model(images, data['data_samples'], mode='loss')[name]
    value.backward()
    assert value.dtype == torch.float32 and value.isfinite()
    assert {p.dtype for p in model.distill[name].loss.parameters()} == {torch.float32}


def test_any_list_composes_and_nobody_changes_the_others_value():
    together = distiller(ENTRIES)
    torch.manual_seed(1)
    data = together.data_preprocessor(numbered_batch(), True)
    logged = together(data['inputs'], data['data_samples'], mode='loss')
    assert {name for name in logged if name.startswith('loss')} == {
        *ENTRIES,
        'loss_student',
    }
    for name in ENTRIES:
        if name[5:] not in LEARNING:  # their own weights depend on the order
            alone = distiller([name])
            alone.load_state_dict(
                {
                    key: value
                    for key, value in together.state_dict().items()
                    if not key.startswith('distill.')
                },
                strict=False,
            )
            alone.teachers['teacher'].model.load_state_dict(
                together.teachers['teacher'].model.state_dict()
            )
            assert value_of(name, alone) == logged[name].detach(), name


SCRIPT = """
import sys
import torch
import torch.distributed as dist
from mmengine.logging import MessageHub
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, sys.argv[4])
import test_every_loss as this

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group('gloo', f'file://{store}', rank=rank, world_size=2)
weight = dict(value=1.0, stop=2, unit='iter')
model = this.distiller(this.ENTRIES, weight=weight)
# In the first of 10 epochs CTKD's reversed gradient is too small to be seen here.
model.distill['loss_ctkd'].loss.warmup_epochs = 1
# A parameter that some step leaves without gradient makes the next one raise.
wrapped = DistributedDataParallel(model, broadcast_buffers=False)
optimizer = torch.optim.SGD(model.parameters(), 0.01)
for iteration in range(4):
    MessageHub.get_current_instance().update_info('iter', iteration)
    torch.manual_seed(10 * iteration + rank)
    data = model.data_preprocessor(this.numbered_batch(seed=2 * iteration + rank), True)
    losses = wrapped(data['inputs'], data['data_samples'], mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    optimizer.step()
    optimizer.zero_grad()
torch.save(dict(model.named_parameters()) | {
    key: value for key, value in model.named_buffers() if 'distill.loss_crd' in key
}, out + str(rank))
dist.destroy_process_group()
"""


def test_two_processes_stay_equal_through_the_end_of_a_schedule(tmp_path):
    here = Path(__file__).resolve().parent
    env = dict(os.environ, PYTHONPATH=str(here.parents[1]), OMP_NUM_THREADS='1')
    command = [sys.executable, '-W', 'ignore', '-c', SCRIPT]
    paths = [str(tmp_path / 'store'), str(tmp_path / 'out'), str(here)]
    processes = [
        subprocess.Popen([*command, str(rank), *paths], env=env) for rank in range(2)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    first, second = (torch.load(tmp_path / f'out{rank}') for rank in range(2))
    before = dict(distiller(ENTRIES).named_parameters())
    for key, value in first.items():
        torch.testing.assert_close(value, second[key], msg=key)
        if key in before and key.startswith('distill.'):
            # No bias moves the softmax behind it.
            trained = not torch.equal(value, before[key])
            assert trained or key.endswith('weigh.bias'), f'{key} was not trained'
