"""What the tests of the shipped configs share."""

import importlib
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


@pytest.fixture(scope='session')
def load_tool():
    """A function that imports a tool by name; such as lean on others beside them."""

    def load(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(TOOLS))
            return importlib.import_module(name)

    return load
