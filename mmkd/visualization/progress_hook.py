"""Progress of a training in plain lines."""

import sys
import time
from typing import Optional, TextIO

from mmengine.hooks import Hook


class ProgressHook(Hook):
    """Prints iteration, loss and time left, and the score of every validation.

    For tools that run several trainings in a row with the Runner's own log in its
    file only.

    Args:
        title: Start of every line.
        metric: Name of the score.
        interval: Iterations from one line to the next.
        stream: Where to print; by default ``sys.stdout`` of now, also when it is
            redirected later.
    """

    priority = 'VERY_LOW'  # after the hook that notes the loss

    def __init__(
        self,
        title: str,
        metric: str,
        interval: int = 20,
        stream: Optional[TextIO] = None,
    ) -> None:
        self.title, self.metric, self.interval = title, metric, interval
        self.stream = stream or sys.stdout

    def before_train(self, runner) -> None:
        self.first, self.start = runner.iter, time.time()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        done, last = runner.iter + 1, runner.max_iters
        if done % self.interval and done != last:
            return
        loss = runner.message_hub.get_scalar('train/loss').mean(self.interval)
        left = (time.time() - self.start) / (done - self.first) * (last - done)
        minutes, seconds = divmod(round(left), 60)
        self._print(
            f'iteration {done:4}/{last}   loss {loss:.3f}   '
            f'{minutes}:{seconds:02d} left'
        )

    def after_val_epoch(self, runner, metrics=None) -> None:
        # An evaluator that was shown no detection at all reports nothing.
        score = (metrics or {}).get(self.metric, 0.0)
        self._print(
            f'iteration {runner.iter:4}/{runner.max_iters}   {self.metric} {score:.3f}'
        )

    def _print(self, text: str) -> None:
        print(f'{self.title}   {text}', file=self.stream, flush=True)
