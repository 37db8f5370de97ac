"""Counts what is left of a function after XLA's own fusing."""

import re

# What moves no data, and calls of what is counted itself.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "call"}
_CALLED = re.compile(r"(?:condition|body|to_apply|true_computation|false_computation)=%?([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{(.*?)\}")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_OPERATION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = .*? ([a-z][\w-]*)\(")


def count_operations(text: str) -> int:
    """Operations of optimised HLO: all computations that run, loop bodies once."""
    entry, computations = _computations(text)
    waiting, seen, count = [entry], set(), 0
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for operation, line in computations[name]:
            count += operation not in _FREE
            if operation in ("while", "conditional", "call"):
                waiting += _CALLED.findall(line)
                for branches in _BRANCHES.findall(line):
                    waiting += [branch.strip().lstrip("%") for branch in branches.split(",")]
    return count


def _computations(text):
    entry, computations, lines = None, {}, None
    for line in text.splitlines():
        if head := _HEAD.match(line):
            lines = computations[head[2]] = []
            entry = head[2] if head[1] else entry
        elif lines is not None and (operation := _OPERATION.match(line)):
            lines.append((operation[1], line))
    return entry, computations
