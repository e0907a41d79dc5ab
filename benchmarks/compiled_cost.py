"""Counts what one device computes and exchanges in a compiled JAX program.

`compiled.cost_analysis()` counts the body of a loop once, however often it
runs. Here it counts as often as XLA says that it does, which every loop over
blocks is annotated with.
"""

import math
import re
import typing

# fmt: off
# Instructions of one operation for each number of their result.
_ELEMENTWISE = {
    "abs", "add", "and", "atan2", "cbrt", "ceil", "clamp", "compare",
    "convert", "cosine", "divide", "exponential", "exponential-minus-one",
    "floor", "is-finite", "log", "log-plus-one", "logistic", "maximum",
    "minimum", "multiply", "negate", "not", "or", "power", "remainder",
    "round-nearest-afz", "round-nearest-even", "rsqrt", "select", "shift-left",
    "shift-right-arithmetic", "shift-right-logical", "sign", "sine", "sqrt",
    "subtract", "tan", "tanh", "xor", "erf",
}
# fmt: on
_COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-permute",
    "reduce-scatter",
)
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
_BYTES |= {"f64": 8, "s64": 8, "u64": 8}

_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$")
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")
_OPCODE = re.compile(r"\s([a-z][\w\-]*)\((.*)$")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.\-]+)"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


class Cost(typing.NamedTuple):
    """What one device does in one run of a program.

    Attributes:
        operations: float, arithmetic operations; a transcendental function is
            one.
        collectives: dict from names such as `"all-gather"` to how often they
            run.
        gathered_bytes: float, the size of the results of all all-gathers.
    """

    operations: float
    collectives: dict
    gathered_bytes: float


def count(compiled):
    """The `Cost` of what `jax.jit(function).lower(...).compile()` returned."""
    computations, entry = _computations(compiled.as_text())
    return _Walk(computations).cost_of(entry)


class _Walk:
    def __init__(self, computations):
        self._computations = computations
        self._costs = {}

    def cost_of(self, name):
        if name not in self._costs:
            lines = self._computations[name]
            shapes = {each: rest.split(" ")[0] for each, rest in lines}
            total = Cost(0.0, {}, 0.0)
            for _, rest in lines:
                total = _added(total, self._line(rest, shapes))
            self._costs[name] = total
        return self._costs[name]

    def _line(self, rest, shapes):
        found = _OPCODE.search(_without_layouts(rest))
        opcode, arguments = found.groups()
        result = rest[: rest.index(f" {opcode}(")]
        operands = [
            shapes.get(name, "")
            for name in re.findall(r"%([\w.\-]+)", arguments.split("), ")[0])
        ]
        cost = Cost(_operations(opcode, result, operands, rest), {}, 0.0)
        name = opcode.removesuffix("-start")
        if name in _COLLECTIVES:
            size = _size(result, in_bytes=True) if name == "all-gather" else 0.0
            cost = Cost(0.0, {name: 1}, size)
        if opcode in ("reduce", "sort", "scatter", "all-reduce", "map"):
            return cost  # what they call is counted already
        called = _CALLED.findall(rest)
        branches = re.search(r"branch_computations=\{([^}]*)\}", rest)
        if branches:
            called += re.findall(r"%?([\w.\-]+)", branches.group(1))
        inner = [self.cost_of(each) for each in called]
        if opcode == "conditional":
            inner = [max(inner, key=lambda each: each.operations)]
        trips = _TRIPS.search(rest)
        if opcode == "while" and trips is None:
            raise ValueError(f"XLA does not know how often this runs: {rest}")
        times = int(trips.group(1)) if opcode == "while" else 1
        for each in inner:
            cost = _added(cost, each, times)
        return cost


def _computations(text):
    computations, entry, lines = {}, None, None
    for line in text.splitlines():
        header = _HEADER.match(line)
        if header:
            lines = computations[header.group(2)] = []
            entry = header.group(2) if header.group(1) else entry
        elif lines is not None and _LINE.match(line):
            lines.append(_LINE.match(line).groups())
    return computations, entry


def _operations(opcode, result, operands, rest):
    if opcode in _ELEMENTWISE:
        return _size(result)
    if opcode == "dot":
        axes = _numbers(re.search(r"lhs_contracting_dims=\{([\d,]*)\}", rest))
        shape = _dimensions(operands[0])
        return 2.0 * _size(result) * math.prod(shape[axis] for axis in axes)
    if opcode == "convolution":
        kernel = re.search(r"dim_labels=\w+_(\w+)->", rest).group(1)
        shape = _dimensions(operands[1])
        others = [s for s, k in zip(shape, kernel, strict=True) if k != "o"]
        return 2.0 * _size(result) * math.prod(others)
    if opcode in ("reduce", "reduce-window"):
        return _size(operands[0])
    if opcode == "sort":
        size = max(2.0, _size(operands[0]))
        return size * math.log2(size)
    return 0.0


def _added(one, other, times=1):
    collectives = dict(one.collectives)
    for name, number in other.collectives.items():
        collectives[name] = collectives.get(name, 0) + times * number
    return Cost(
        one.operations + times * other.operations,
        collectives,
        one.gathered_bytes + times * other.gathered_bytes,
    )


def _without_layouts(text):
    return re.sub(r"\{[\d,:TSE()]*\}", "", text)


def _numbers(match):
    return [int(n) for n in match.group(1).split(",") if n]


def _dimensions(shape):
    return [int(n) for n in _SHAPE.search(shape).group(2).split(",") if n]


def _size(shape, in_bytes=False):
    """The numbers in an array, or in all of a tuple."""
    total = 0.0
    for dtype, dimensions in _SHAPE.findall(shape):
        numbers = math.prod(int(n) for n in dimensions.split(",") if n)
        total += numbers * (_BYTES.get(dtype, 4) if in_bytes else 1)
    return total
