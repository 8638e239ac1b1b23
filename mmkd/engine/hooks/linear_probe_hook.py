"""How well the student's features serve another data set, while it learns."""

from contextlib import contextmanager
from typing import Iterator, Optional

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from torch import Tensor, nn

from mmkd.engine.bare_model import bare_model
from mmkd.errors import ConfigError
from mmkd.models.stock_network import pooled
from mmkd.registry import HOOKS


@HOOKS.register_module()
class LinearProbeHook(Hook):
    """Probes the student every few epochs: features once, linear classifiers on them.

    The fast protocol of ``tools/linear_probe.py`` on a subset, which is read before
    training and kept in memory. The top-1 accuracy in percent is logged as
    ``probe/DATASET`` over the epochs. Training is not touched: the student is as it
    was, and draws the same random numbers. Of several processes the first one probes.

    Args:
        dataset (str): One of :data:`mmkd.transfer.targets.TARGETS`.
        data_root (str, optional): Its folder.
        interval (int): Epochs from one probe to the next; the last epoch is always
            probed. Defaults to 10.
        num_train (int): Images to train on, the same of each class. Defaults to 2000.
        num_val (int): Images to judge by. Defaults to 2000.
        input_size (int, optional): Pixels. Defaults to what the student's test pipeline
            makes.
        check_md5 (bool): Take the official files of CIFAR only. Defaults to True.
        batch_size (int): Images at once. Defaults to 250.

    Raises:
        ConfigError: A number is out of its range, the data set is unknown, or the
            student is no classifier.
        DataError: The data is missing or damaged.
    """

    priority = 'LOW'

    def __init__(
        self,
        dataset: str,
        data_root: Optional[str] = None,
        interval: int = 10,
        num_train: int = 2000,
        num_val: int = 2000,
        input_size: Optional[int] = None,
        check_md5: bool = True,
        batch_size: int = 250,
    ) -> None:
        # Imported here and below: other trainings do not wait for scikit-learn.
        from mmkd.transfer.targets import load_target, subset

        for name, value in dict(interval=interval, batch_size=batch_size).items():
            if value < 1:
                raise ConfigError(
                    f'LinearProbeHook: {name}={value}, but it must be at least 1.'
                )
        target = load_target(dataset, data_root, check_md5=check_md5)
        self.parts = subset(target.train, num_train), subset(target.val, num_val)
        self.name = f'probe/{dataset}'
        self.interval = interval
        self.input_size = input_size
        self.batch_size = batch_size

    def before_train(self, runner) -> None:
        """Read the images, and see that the student has a feature to probe."""
        from mmkd.datasets.read_image import read_image
        from mmkd.transfer.features.transform import Transform

        if not is_main_process():
            return
        transform = Transform(runner.cfg, self.input_size)
        self.images = [
            torch.from_numpy(
                np.stack(
                    [
                        transform(read_image(part.get_data_info(index)))
                        for index in range(len(part))
                    ]
                )
            )
            for part in self.parts
        ]
        self.labels = [np.asarray(part.get_gt_labels()) for part in self.parts]
        self._features(_student(runner), self.images[0][:2])

    def after_train_epoch(self, runner) -> None:
        """Probe, and log the accuracy."""
        due = self.every_n_epochs(runner, self.interval)
        if is_main_process() and (due or self.is_last_train_epoch(runner)):
            top1 = self.probe(_student(runner))
            epoch = runner.epoch + 1
            runner.logger.info(f'{self.name}: {top1:.2f} % top-1 after epoch {epoch}')
            runner.visualizer.add_scalar(self.name, top1, step=epoch)

    def probe(self, student: nn.Module) -> float:
        """Return the probe's top-1 accuracy in percent.

        Args:
            student (nn.Module): A classifier or a plain backbone.
        """
        from mmkd.transfer import linear_probe

        train, val = (
            {'pooled': self._features(student, images)} for images in self.images
        )
        device = str(next(student.parameters()).device)
        scores = linear_probe(train, self.labels[0], val, device=device).scores
        return 100 * float((scores.argmax(1) == self.labels[1]).mean())

    @torch.no_grad()
    def _features(self, student: nn.Module, images: Tensor) -> np.ndarray:
        with _evaluated(student):
            batches = [
                pooled(student, student.data_preprocessor(dict(inputs=batch))['inputs'])
                for batch in images.split(self.batch_size)
            ]
        return torch.cat(batches).float().cpu().numpy()


def _student(runner) -> nn.Module:
    model = bare_model(runner)
    return getattr(model, 'student', model)


@contextmanager
def _evaluated(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and each module back into the mode it had."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
