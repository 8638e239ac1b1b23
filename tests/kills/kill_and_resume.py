#!/usr/bin/env python
"""Kill trainings at their writes and at random, go on, and compare what they end with.

Not part of the tests: it takes an hour. Each trial trains in a folder of its own, is
killed with SIGKILL a few times, each time called again with the same command, and must
end as the run that nobody disturbed: nothing may block it, no iteration before the
newest whole checkpoint may be trained again, and weights, states and logs are equal,
bit for bit (on one thread of a CPU). What can be killed is found out in the undisturbed
run: opening, half and end of every write, renaming and removal, of every kind of file.

Example:
    python tests/kills/kill_and_resume.py classifier detector quickstart --kills 60 \
        --out /tmp/kills
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from outcome import differences, outcome, reached, resumed_from

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf('SC_CLK_TCK')


def detector(out, folder):
    """Return the command of a detector of the quickstart, by iterations."""
    options = [
        f'{split}_dataloader.dataset.{value}'
        for split in ('train', 'val', 'test')
        for value in (
            f'data_root={out}/digits/',
            'digits.num_train=12',
            'digits.num_val=4',
        )
    ]
    options += [
        f'{split}_evaluator.ann_file={out}/digits/annotations/instances_val.json'
        for split in ('val', 'test')
    ]
    options += [
        'model.teacher.checkpoint=None',
        'model.teacher.allow_untrained=True',
        'model.losses.loss_luminet.weight.warmup_iters=8',
        'model.losses.loss_neck.type=FitNetLoss',
        'model.losses.loss_neck.on=backbone',
        'train_cfg.max_iters=14',
        'train_cfg.val_interval=4',
        'train_dataloader.batch_size=2',
        'default_hooks.checkpoint.interval=2',
        'default_hooks.checkpoint.save_best=coco/bbox_mAP',
        'default_hooks.logger.interval=2',
        'log_processor.window_size=5',
    ]
    config = 'configs/quickstart/luminet.py'
    return train(config, folder) + ['--cfg-options', *options]


def train(config, folder):
    return ['tools/train.py', str(config), '--work-dir', str(folder), '--resume']


COMMANDS = dict(
    classifier=lambda out, folder: train(HERE / 'classifier.py', folder),
    detector=detector,
    quickstart=lambda out, folder: [
        'tools/quickstart.py',
        *('--work-dir', str(folder), '--scale', '0.05'),
    ],
    benchmark=lambda out, folder: [
        *('tools/run_benchmark.py', str(HERE / 'classifier.py')),
        *('--seeds', '0', '--out', str(folder)),
    ],
)


class Scenario:
    """A command, and what it ends with where nothing comes in between."""

    def __init__(self, name, args):
        self.name, self.code, self.out = name, args.code, args.out / name
        self.folder = self.out / 'undisturbed'
        record = self.out / 'events.tsv'
        if not (self.out / 'undisturbed.json').exists():
            shutil.rmtree(self.out, ignore_errors=True)
            self.folder.mkdir(parents=True)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            status, said = self.call(self.folder, dict(record=str(record)))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if status:
                sys.exit(f'{name}: undisturbed, it ends with {status}: {said}')
            seconds = after.ru_utime + after.ru_stime
            seconds -= before.ru_utime + before.ru_stime
            (self.out / 'undisturbed.json').write_text(json.dumps(seconds))
        self.seconds = json.loads((self.out / 'undisturbed.json').read_text())
        lines = record.read_text().splitlines()
        self.events = Counter(tuple(line.split('\t')) for line in lines)
        self.expected = outcome(self.folder)

    def call(self, folder, kill=None, seconds=None):
        """Run the command; return its status and the last line that it said.

        Args:
            folder (Path): Where it works.
            kill (dict, optional): What :mod:`sitecustomize` is to do.
            seconds (float, optional): When to kill it, in seconds of the processor.
        """
        env = dict(
            os.environ,
            OMP_NUM_THREADS='1',
            CUDA_VISIBLE_DEVICES='',
            PYTHONPATH=f'{HERE}:{self.code}' if kill else str(self.code),
        )
        env.pop('MMKD_KILL', None)
        if kill:
            env['MMKD_KILL'] = json.dumps(dict(kill, root=str(folder)))
        command = COMMANDS[self.name](self.out, folder)
        with open(self.out / 'said.txt', 'w+') as said:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.code,
                env=env,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            while seconds is not None and process.poll() is None:
                if used(process.pid) > seconds:
                    process.send_signal(signal.SIGKILL)
                time.sleep(0.01)
            status = process.wait()
            said.seek(0)
            lines = [line for line in said.read().splitlines() if line.strip()]
        return status, lines[-1] if lines else ''


def used(pid):
    """Return the seconds of the processor that a process has had."""
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / TICKS


def aims(scenario, rng):
    """Give kills without end: of every kind of event in turn, and at random."""
    while True:
        kinds = sorted(scenario.events)
        rng.shuffle(kinds)
        for count, kind in enumerate(kinds):
            yield dict(event=kind[0], name=kind[1], of=scenario.events[kind])
            if count % 3 == 2:
                yield dict(event='any time', name='', of=1)


def trial(scenario, number, aimed, chain, rng):
    """Kill a training up to ``chain`` times and let it end; return what happened."""
    folder = scenario.out / f'trial{number}'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kills, lost, blocked = [], 0, None
    for attempt in range(chain + 1):
        last = attempt == chain
        before, since = reached(folder), time.time()
        done = scenario.out / 'done'
        done.unlink(missing_ok=True)
        if last:
            where, (status, said) = '', scenario.call(folder)
        else:
            aim = next(aimed)
            where = f'{aim["event"]} {aim["name"]}'.strip()
            if aim['event'] == 'any time':
                seconds = scenario.seconds * rng.uniform(0.2, 1.0)
                status, said = scenario.call(folder, seconds=seconds)
            else:
                # What is left of a resumed run has fewer of them.
                nth = rng.randint(1, max(1, aim.pop('of') >> min(attempt, 2)))
                where += f' ({nth})'
                status, said = scenario.call(folder, dict(aim, nth=nth, done=str(done)))
        killed = status == -signal.SIGKILL or done.exists()
        for name, place in resumed_from(folder, since).items():
            lost += max(0, before.get(name, 0) - place)
        if killed:
            kills.append(where)
        elif status:
            blocked = said
            break
        else:
            break
    unequal = []
    if not blocked:
        unequal = list(differences(scenario.expected, outcome(folder)))
    report = dict(
        scenario=scenario.name,
        trial=number,
        kills=kills,
        blocked=blocked,
        lost=lost,
        unequal=len(unequal),
        first=unequal[:3],
    )
    if not blocked and not unequal:
        shutil.rmtree(folder)
    return report


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('scenarios', nargs='+', choices=list(COMMANDS))
    add('--kills', type=int, default=60, help='in each scenario, default 60')
    add('--chain', type=int, default=3, help='most kills of a trial, default 3')
    add('--seed', type=int, default=0, help='of the choice of kills')
    add('--out', type=Path, required=True, help='for all that is made')
    add('--code', type=Path, default=HERE.parents[1], help='another checkout')
    args = parser.parse_args()
    args.out, args.code = args.out.resolve(), args.code.resolve()
    total = Counter()
    for name in args.scenarios:
        scenario, rng = Scenario(name, args), random.Random(args.seed)
        print(f'{name}: {len(scenario.events)} kinds of events', flush=True)
        aimed, kills, number = aims(scenario, rng), 0, 0
        while kills < args.kills:
            chain = min(args.chain, args.kills - kills)
            report = trial(scenario, number, aimed, chain, rng)
            number += 1
            kills += len(report['kills'])
            with open(args.out / 'trials.jsonl', 'a') as file:
                file.write(json.dumps(report) + '\n')
            print(json.dumps(report), flush=True)
            total['trials'] += 1
            total['kills'] += len(report['kills'])
            total['blocked'] += bool(report['blocked'])
            total['iterations lost'] += report['lost']
            total['unequal'] += bool(report['unequal'])
    print(', '.join(f'{count} {what}' for what, count in total.items()))
    sys.exit(bool(total['blocked'] or total['iterations lost'] or total['unequal']))


if __name__ == '__main__':
    main()
