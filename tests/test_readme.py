"""What the README shows works."""

import re
from pathlib import Path

import pytest
from mmengine.optim import build_optim_wrapper

from mmkd.configs import build_model, load_config
from mmkd.testing import detection_batch, shrink

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text()


def test_its_config_takes_a_step(tmp_path):
    (text,) = re.findall(r'```python\n(_base_.*?)```', README, re.DOTALL)
    path = tmp_path / 'my_config.py'
    path.write_text(text)
    cfg = shrink(load_config(str(path)))
    model = build_model(cfg)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    log = model.train().train_step(detection_batch(classes=80), optim_wrapper)
    assert log['loss_luminet'].isfinite()
    assert log['weight_luminet'].item() == pytest.approx(1 / 1000)


def test_its_files_are_there():
    links = re.findall(r'\]\(((?!http|#)[^)]+)\)', README)
    tools = re.findall(r'(?:python|bash) (tools/\S+)', README)
    assert len(links) > 3 and len(tools) > 5
    assert [name for name in [*links, *tools] if not (ROOT / name).exists()] == []
