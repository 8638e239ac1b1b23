"""Top-k accuracy without an object for every image."""

from typing import Dict, Sequence

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.runner import ValLoop
from torch import Tensor

from mmkd.engine.bare_model import bare_model
from mmkd.registry import LOOPS


@LOOPS.register_module()
class AccuracyValLoop(ValLoop):
    """Counts right answers on the device; the stock loop's figures, sooner.

    Stock validation makes a data sample of every image's scores and moves each to
    the CPU: for CIFAR's 10,000 small images that takes longer than the network. This
    loop reads nothing before the end. It stands in for mmpretrain's ``Accuracy``
    metric of single-label classifiers, which the config still has to name as
    ``val_evaluator`` (``tools/test.py`` uses it)::

        val_cfg = dict(type='mmkd.AccuracyValLoop', topk=(1, 5))

    Args:
        runner (Runner): The Runner.
        dataloader (DataLoader | dict): Val data.
        evaluator (Evaluator | dict | list): Used by others, such as TeacherEvalHook.
        topk (Sequence[int]): Ranks up to which the label counts as found. Defaults
            to (1,).
        fp16 (bool): Run under autocast. Defaults to False.
    """

    def __init__(
        self, runner, dataloader, evaluator, topk: Sequence[int] = (1,), fp16=False
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self.topk = tuple(topk)

    def run(self) -> Dict[str, float]:
        """Return and announce ``accuracy/top1`` and so on, in percent."""
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        self.runner.model.eval()
        # A distributed sampler repeats images so that all processes get as many.
        own = range(get_rank(), len(self.dataloader.dataset), get_world_size())
        self._left = len(own)
        counts = [self.run_iter(*batch) for batch in enumerate(self.dataloader)]
        total = torch.stack(counts).sum(dim=0)
        all_reduce(total)
        *hits, images = total.tolist()
        metrics = {
            f'accuracy/top{k}': 100 * hit / images for k, hit in zip(self.topk, hits)
        }
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict) -> Tensor:
        """Return the hits of one batch at each of ``topk``, and its images."""
        self.runner.call_hook('before_val_iter', batch_idx=idx, data_batch=data_batch)
        model = bare_model(self.runner)
        data = model.data_preprocessor(data_batch, False)
        with torch.autocast(data['inputs'].device.type, enabled=self.fp16):
            logits = model(data['inputs'], mode='tensor')
        labels = torch.cat([sample.gt_label for sample in data['data_samples']])
        own = min(len(labels), self._left)
        self._left -= own
        counts = count_hits(logits[:own], labels[:own], self.topk)
        self.runner.call_hook(
            'after_val_iter', batch_idx=idx, data_batch=data_batch, outputs=None
        )
        return counts


def count_hits(logits: Tensor, labels: Tensor, topk: Sequence[int]) -> Tensor:
    """Count the labels among the highest logits.

    Args:
        logits (Tensor): ``(N, K)``.
        labels (Tensor): ``(N,)``.
        topk (Sequence[int]): Ranks.

    Returns:
        Tensor: For each of ``topk`` the hits, then ``N``; int64, on the device.
    """
    most = min(max(topk), logits.size(1))
    right = logits.topk(most, dim=1).indices == labels[:, None]
    hits = [right[:, :k].any(dim=1).sum() for k in topk]
    return torch.stack([*hits, labels.new_tensor(len(labels))])
