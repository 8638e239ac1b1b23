"""What the pages for people show works and exists."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import Registry
from torch.nn import functional as F

from mmkd.configs import build_model, load_config
from mmkd.models import DistillLoss
from mmkd.models.losses.checks import positive
from mmkd.registry import MODELS
from mmkd.testing import detection_batch, shrink

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    name: (ROOT / name).read_text(encoding='utf-8')
    for name in ('README.md', 'tools/README.md', 'projects/README.md')
}
README, TOOLS, PROJECTS = PAGES.values()
FLAG = re.compile(r'(?<![\w-])--[a-z][\w-]*')
#: A row of the table of tools: the tool and its flags.
ROW = re.compile(r'^\| \[`[^`]+`\]\(([\w/]+\.\w+)\) \|.*\|([^|]*)\|$', re.MULTILINE)
ROWS = dict(ROW.findall(TOOLS))
#: How argparse lists a flag.
LISTED = re.compile(r'^  (?:-\w, )?(--[a-z][\w-]*)', re.MULTILINE)
HELP = {}  # by tool, asked once


def blocks(text, language):
    return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


def commands(text):
    """Yield each command, of code blocks and within sentences, that runs a tool."""
    spans = re.findall(r'`([^`\n]+)`', re.sub('```.*?```', '', text, flags=re.DOTALL))
    for block in [*blocks(text, 'bash'), *spans]:
        for line in block.replace('\\\n', ' ').splitlines():
            tool = re.search(r'(?:python|bash) tools/(\S+)', line)
            if tool:
                yield tool[1], line


def flags_of(tool, monkeypatch, capsys):
    if tool not in HELP:
        path = ROOT / 'tools' / tool
        monkeypatch.setattr(sys, 'argv', [str(path), '--help'])
        monkeypatch.syspath_prepend(str(path.parent))  # as Python does for a script
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(path), run_name='__main__')
        assert left.value.code in (0, None)
        HELP[tool] = set(LISTED.findall(capsys.readouterr().out))
    return HELP[tool]


def slug(heading):
    """Name a heading as GitHub does."""
    return re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')


def test_it_is_short():
    assert len(README.split()) <= 1050


def test_its_config_takes_a_step(tmp_path):
    (text,) = (text for text in blocks(README, 'python') if text.startswith('_base_'))
    path = tmp_path / 'my_config.py'
    path.write_text(text)
    cfg = shrink(load_config(str(path)))
    model = build_model(cfg)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    log = model.train().train_step(detection_batch(classes=80), optim_wrapper)
    assert log['loss_luminet'].isfinite()
    assert log['weight_luminet'].item() == pytest.approx(1 / 1000)


def test_its_losses_run_alone():
    (text,) = (text for text in blocks(README, 'python') if 'mmkd.losses' in text)
    torch.manual_seed(0)
    names = dict(
        student_logits=torch.randn(4, 10, requires_grad=True),
        teacher_logits=torch.randn(4, 10),
        labels=torch.arange(4),
        student_maps=torch.randn(2, 8, 4, 4),
        teacher_maps=torch.randn(2, 16, 4, 4),
    )
    values = []
    for part in ast.parse(text).body:
        source = ast.get_source_segment(text, part)
        if isinstance(part, ast.Expr):
            values.append(eval(source, names))
        else:
            exec(source, names)
    assert len(values) > 2 and all(value.isfinite() for value in values)
    assert len(list(names['loss'].parameters())) > 0


def test_its_table_has_every_loss():
    named = set(re.findall(r'\[`(\w+Loss)`\]\(http', README))
    registered = {
        name
        for name, kind in MODELS.module_dict.items()
        if isinstance(kind, type)
        and issubclass(kind, DistillLoss)
        # Not those that other tests bring along.
        and kind.__module__.startswith('mmkd.')
    }
    assert named == registered


@pytest.mark.parametrize('page', PAGES)
def test_what_it_links_to_exists(page):
    links = re.findall(r'\]\(((?!http)[^)]+)\)', PAGES[page])
    assert len(links) > 3
    for link in links:
        path, _, anchor = link.partition('#')
        target = ROOT / page if not path else (ROOT / page).parent / path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r'^#+ (.+)$', target.read_text('utf-8'), re.MULTILINE)
            assert anchor in map(slug, headings), link


@pytest.mark.parametrize('page', PAGES)
def test_the_paths_in_it_exist(page):
    paths = re.findall(
        r'(?<![\w./:-])(?:configs|projects|tests|tools)/[\w./*-]+', PAGES[page]
    )
    assert paths
    assert [path for path in paths if not list(ROOT.glob(path))] == []


def test_every_tool_is_in_the_table():
    tools = (ROOT / 'tools').rglob('*.*')
    there = {
        path.relative_to(ROOT / 'tools').as_posix()
        for path in tools
        if path.suffix in ('.py', '.sh')
    }
    assert set(ROWS) == there


@pytest.mark.parametrize('tool', ROWS)
def test_a_tool_has_the_flags_of_its_row(tool, monkeypatch, capsys):
    named = set(FLAG.findall(ROWS[tool]))
    if named:
        assert named <= flags_of(tool, monkeypatch, capsys)


def test_the_analyses_share_the_flags_that_are_said_to_be_shared(monkeypatch, capsys):
    (sentence,) = re.findall(r'^The analyses of .*$', TOOLS, re.MULTILINE)
    tools = re.findall(r'`(\w+\.py)`', sentence)
    assert len(tools) > 1
    for tool in tools:
        flags = flags_of(f'analysis/{tool}', monkeypatch, capsys)
        assert set(FLAG.findall(sentence)) <= flags


@pytest.mark.parametrize('page', PAGES)
def test_its_commands_have_the_flags_that_they_give(page, monkeypatch, capsys):
    every = list(commands(PAGES[page]))
    assert every
    for tool, line in every:
        named = set(FLAG.findall(line))
        if named:
            assert named <= flags_of(tool, monkeypatch, capsys), line


def test_the_loss_shown_is_that_of_the_example():
    from projects.example_project.cosine_loss import cosine_loss

    (text,) = (text for text in blocks(PROJECTS, 'python') if 'CosineLoss' in text)
    names = dict(MODELS=Registry('shown'), DistillLoss=DistillLoss, F=F)
    exec(text, dict(names, positive=positive), names)
    student, teacher = torch.randn(2, 4, 10)
    value = names['CosineLoss'](tau=2.0)(student, teacher)
    assert value == pytest.approx(cosine_loss(student, teacher, 2.0))
