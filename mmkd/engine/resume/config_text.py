"""Reading the text of a config that a checkpoint brings, without running it."""

import ast
from typing import Any, Dict

LARGEST = 2_000_000  # characters


def read_literals(text: str) -> Dict[str, Any]:
    """Return what a config's text assigns, where that is nothing but values.

    ``dict(...)``, lists, tuples, texts and numbers are read, as ``Config.pretty_text``
    writes them; tuples come as lists. Nothing is executed.

    Args:
        text (str): Python text.

    Raises:
        ValueError: It holds something else.
    """
    if not isinstance(text, str) or len(text) > LARGEST:
        raise ValueError('no text of a config')
    values = {}
    try:
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                raise ValueError(f'{type(statement).__name__} is no assignment')
            values[statement.targets[0].id] = _value(statement.value)
    except (SyntaxError, AttributeError, RecursionError, MemoryError, TypeError) as e:
        raise ValueError(f'{type(e).__name__}: {e}') from None
    return values


def _value(node: ast.AST) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_value(key) for key in node.keys]
        return dict(zip(keys, map(_value, node.values)))
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return node.id
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand)
        return f'-{value}' if isinstance(node.operand, ast.Name) else -value
    if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'dict':
        given = [_value(argument) for argument in node.args]
        named = {keyword.arg: _value(keyword.value) for keyword in node.keywords}
        if len(given) < 2 and all(isinstance(each, dict) for each in given):
            if None not in named:  # **something
                return dict(*given, **named)
    raise ValueError(f'{type(node).__name__} is no value')
