"""A Distiller in two processes: one without rows joins in what the other waits for."""

import os
import subprocess
import sys
from pathlib import Path

import torch

EMPTY = """
import datetime, sys
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
import mmkd
from mmkd.models import Distiller
from mmkd.testing import detection_batch, toy_detector

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group('gloo', f'file://{store}', rank=rank, world_size=2,
                        timeout=datetime.timedelta(seconds=60))
LUMINET = dict(type='LumiNetLoss', sync_stats=True)
FOREGROUND = dict(pairing='roi.logits', select='fg')
CASES = {
    'luminet': ('faster', dict(LUMINET, on=FOREGROUND)),
    'standardised': ('faster', dict(type='LSKDLoss', loss=LUMINET, on=FOREGROUND)),
    'cells': ('faster', dict(type='SDDLoss', loss=LUMINET,
                             on=dict(FOREGROUND, pairing='roi.cells'))),
    # Its images have no objects, but background and contexts that learn.
    'fgd': ('faster', dict(type='FGDLoss', on='neck')),
    'masks': ('mask', dict(LUMINET, on='roi.masks')),
    # One of them ends its cascade after the first stage.
    'cascade': ('cascade', dict(LUMINET, on='roi.logits')),
}
results = {}
for name, (kind, loss) in CASES.items():
    torch.manual_seed(0)
    teacher = dict(config=toy_detector(kind, width=12), allow_untrained=True)
    model = Distiller(toy_detector(kind), dict(loss_it=loss), teacher=teacher).train()
    ddp = MMDistributedDataParallel(model, broadcast_buffers=False, device_ids=None)
    for empty in (0, 1, None):
        objects = (0, 0) if rank == empty and kind != 'cascade' else (3, 3)
        batch = detection_batch(objects, seed=rank, masks=kind == 'mask')
        data = model.data_preprocessor(batch, True)
        first = model.student.roi_head.bbox_head
        if kind == 'cascade':
            first = first[0]
            first.__dict__.pop('refine_bboxes', None)
            if rank == empty:
                first.refine_bboxes = lambda *args: None
        model.zero_grad()
        torch.manual_seed(1)
        losses = ddp(**data, mode='loss')
        if kind == 'cascade':
            # The stages that did not run leave parameters unused, as in mmdet itself.
            (losses['loss_it'] + 0 * sum(p.sum() for p in model.student.parameters())
             ).backward()
        else:
            model.parse_losses(losses)[0].backward()
        pulls = torch.stack([p.grad.double().norm() for p in
                             model.student.roi_head.parameters() if p.grad is not None])
        both = [torch.zeros_like(pulls) for _ in range(2)]
        dist.all_gather(both, pulls)
        results[f'{name} {empty}'] = (losses['loss_it'].item(), both)
if rank == 0:
    torch.save(results, out)
dist.destroy_process_group()
"""


def in_two_processes(script, folder, timeout=120):
    """Run a script twice, with its rank, a store and a file for its results."""
    root = Path(__file__).resolve().parents[2]
    env = dict(os.environ, PYTHONPATH=str(root), OMP_NUM_THREADS='1')
    out = folder / 'out.pth'
    command = [sys.executable, '-W', 'ignore', '-c', script]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(folder / 'store'), str(out)], env=env
        )
        for rank in range(2)
    ]
    try:
        codes = [process.wait(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0]
    return torch.load(out)


def test_a_process_without_rows_joins_in_and_all_agree(tmp_path):
    """On either side, of losses and wrappers, of selections and ended cascades."""
    results = in_two_processes(EMPTY, tmp_path)
    assert len(results) == 18
    for name, (value, (first, second)) in results.items():
        assert torch.equal(first, second), name
        empty = name.endswith(' 0') and not name.startswith(('cascade', 'fgd'))
        assert (value == 0) == empty, name
