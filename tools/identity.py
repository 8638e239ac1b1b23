#!/usr/bin/env python
"""Tell whether a teacher that has the student's weights says what the student says.

Each config's model teaches itself for a step on two small images. Of what it offers to
compare the tool prints

    right      equal, with a gradient in each row, all rows and labels that its own loss
               trains on, and what the teacher says changes with its weights
    refused    by the sentence below
    needs      what is not installed
    stock      the model cannot train alone either
    untested   values grow over all bounds, however small the weights are
    wrong      none of these, and then the tool fails

    python tools/identity.py mmdet::htc/htc_r50_fpn_1x_coco.py
"""

import argparse
import copy
import logging
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from textwrap import shorten
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from mmengine.config import Config

from mmkd.configs import build_model, load_model_config, student_alone
from mmkd.engine import arguments
from mmkd.engine.launch import run
from mmkd.errors import (
    ConfigError,
    MisfitError,
    MMKDError,
    NonFiniteLossError,
    first_line,
)

#: Said by what is not installed.
NOT_INSTALLED = 'needs the compiled mmcv', 'No module named', 'pip install'
#: Factors of all weights: the next where values are not finite.
SCALES = 1.0, 0.1


def parse_args() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument(
        'configs',
        nargs='*',
        help='paths, or package::path; by default all two-stage ones of mmdet',
    )
    parser.add_argument(
        '--on', nargs='+', help='modules and pairings, instead of all that is offered'
    )
    arguments.add_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    logging.disable(logging.WARNING)  # of weights, which are meant to be random
    paths = args.configs or two_stage_configs()
    cfgs = (_loaded(path, args.cfg_options) for path in paths)
    if args.configs or args.on:
        cfgs = list(cfgs)  # what is wrong with one is said before the first is tried
        _check_given(args, [cfg for _, cfg in cfgs])
    wrong, seen = 0, set()
    for path, cfg in cfgs:
        if not args.configs and repr(cfg.model) in seen:
            continue  # the same model on another schedule
        seen.add(repr(cfg.model))
        print(path, flush=True)
        by_verdict = defaultdict(list)
        for on, verdict in verdicts(cfg, args.on).items():
            by_verdict[verdict].append(on)
        for verdict, which in by_verdict.items():
            kind, _, sentence = verdict.partition(': ')
            print(f'    {kind:8} {", ".join(which)}', flush=True)
            if sentence:
                print(f'             {sentence}', flush=True)
            wrong += kind == 'wrong'
    if wrong:
        raise ConfigError(
            f'{wrong} of these comparisons are wrong; correct how the family runs the '
            'teacher, or what the pairing lines up, or refuse them there.'
        )


def _loaded(path, options) -> Tuple[str, Config]:
    cfg = load_model_config(path, options)
    cfg.model = student_alone(cfg.model)
    return path, cfg


def _check_given(args, cfgs: Sequence[Config]) -> None:
    """Refuse options that no model takes, and names of what none has."""
    from mmkd.models.pairings import build_pairing
    from mmkd.registry import PAIRINGS

    unknown = [name for name in args.on or () if name not in PAIRINGS.module_dict]
    for cfg in cfgs:
        if not (unknown or args.cfg_options):
            return
        try:
            model = build_model(cfg)
        except ConfigError as error:
            if args.cfg_options and not _said_by(error):
                raise
            return  # its verdict says why
        modules = dict(model.named_modules())
        unknown = [name for name in unknown if name not in modules]
    for name in unknown:
        build_pairing(name, model, model)  # says what there is


def two_stage_configs() -> Iterator[str]:
    """Give the paths of mmdet's stock configs whose model has a RoI head."""
    import mmdet

    folder = Path(mmdet.__file__).parent / '.mim/configs'
    for file in sorted(folder.glob('[!_]*/*.py')):
        with suppress(FileNotFoundError):  # some have a base that is not there
            if 'roi_head' in (Config.fromfile(file).get('model') or {}):
                yield str(file)


def verdicts(cfg: Config, on: Sequence[str]) -> Dict[str, str]:
    """Return a verdict for each of what a config's model is to compare."""
    from mmkd.identity import offered

    on, whole = on or offered(cfg.model), _with_few_rows(cfg)
    found = _small_or_whole(whole, on)
    if len(on) > 1 and set(found.values()) != {'right'}:
        return {each: _small_or_whole(whole, [each])[each] for each in on}
    return found


def _small_or_whole(cfg, on):
    """Try the shrunken model, and where it is not right let the whole one say why."""
    from mmkd.testing import shrink

    with suppress(Exception):  # not all can be shrunken
        small = _tried(shrink(cfg), on)
        if set(small.values()) == {'right'}:
            return small
    return _tried(cfg, on)


def _with_few_rows(cfg):
    """Take fewer RoIs, some of them with an object, and leave the images small."""
    cfg = copy.deepcopy(cfg)
    if 'batch_augments' in (cfg.model.get('data_preprocessor') or {}):
        cfg.model.data_preprocessor.batch_augments = None
    stages = (cfg.model.get('train_cfg') or {}).get('rcnn') or []
    for stage in [stages] if isinstance(stages, dict) else stages:
        few = dict(num=64, add_gt_as_proposals=True)
        sampler = stage.get('sampler') or {}
        sampler.update({key: few[key] for key in few if key in sampler})
    return cfg


def _tried(cfg: Config, on: Sequence[str]) -> Dict[str, str]:
    import torch

    from mmkd.identity import batch_for, misfits, size_for, twins

    for scale in SCALES:
        torch.manual_seed(0)
        try:
            distiller = twins(cfg, on, scale)
            batch = batch_for(distiller.student, size_for(cfg))
            found = misfits(distiller, batch)
        except NonFiniteLossError:
            continue
        except Exception as error:
            return dict.fromkeys(on, _why(cfg, error))
        return {each: _of_misfits(found[f'loss_{i}']) for i, each in enumerate(on)}
    return dict.fromkeys(on, 'untested: not finite')


def _why(cfg: Config, error: Exception) -> str:
    """Return the verdict where nothing could be compared."""
    if _said_by(error) or _is_refusal(error):
        return _said_by(error) or f'refused: {error}'
    alone = _alone(cfg)
    if alone is not None:
        stock = f'stock: it cannot train alone, {first_line(alone)}'
        return _said_by(alone) or stock
    said = error if isinstance(error, MMKDError) else first_line(error)
    return f'wrong: {said}'


def _is_refusal(error: Optional[BaseException]) -> bool:
    """Tell whether mmkd says no: of its own, and not since the two sides differ."""
    while isinstance(error, MMKDError) and not isinstance(error, MisfitError):
        error = error.__cause__
    return error is None


def _alone(cfg: Config) -> Optional[Exception]:
    """Return why a stock model cannot train even without a teacher."""
    from mmkd.identity import batch_for, size_for

    try:
        model = build_model(cfg)
        batch = batch_for(model, size_for(cfg))
        model(**model.data_preprocessor(batch, True), mode='loss')
    except Exception as error:
        return error
    return None


def _of_misfits(sentences: List[str]) -> str:
    return 'wrong: ' + '; '.join(sentences) if sentences else 'right'


def _said_by(error: Exception) -> str:
    """Say what is not installed, if that is what an error is about."""
    while error.__cause__ is not None:
        error = error.__cause__
    needs = any(said in str(error) for said in NOT_INSTALLED)
    return f'needs: {shorten(first_line(error), 120)}' if needs else ''


if __name__ == '__main__':
    run(main)
