"""Formulas of a few names, as people write them in a study file: `12 * depth * width**2`."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

from windtunnel.errors import WindtunnelError

_LONGEST = 200  # characters
_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def evaluate(formula: str, values: Mapping[str, float]) -> float:
    """The value of a formula of numbers, names, + - * / ** and brackets.

    Nothing else is understood, so a formula can do nothing but arithmetic.

    Args:
        formula: The formula.
        values: By name.

    Raises:
        WindtunnelError: It is no such formula, has a name without a value, or gives no finite
            number.
    """
    try:
        if len(formula) > _LONGEST:
            raise ValueError(f"longer than {_LONGEST} characters")
        found = _value(ast.parse(formula.strip(), mode="eval").body, values)
        if not math.isfinite(found):
            raise ValueError("it gives no finite number")
    except SyntaxError as error:
        raise WindtunnelError(f"'{formula}' is no formula such as 12 * depth * width**2") from error
    except OverflowError as error:
        raise WindtunnelError(f"'{formula}': it gives no finite number") from error
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise WindtunnelError(f"'{formula}': {error}") from error
    return found


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name):
        if node.id not in values:
            raise ValueError(f"no '{node.id}'; there are {', '.join(values)}")
        return float(values[node.id])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, values)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        found = _OPERATORS[type(node.op)](_value(node.left, values), _value(node.right, values))
        if isinstance(found, complex):
            raise ValueError("a root of a negative number")
        return found
    raise ValueError("only numbers, names, + - * / ** and brackets are understood")
