"""A layer's class, or an instance of one, as a forward and a backward function.

    found = layer_passes(Dense, {"x": ("N", "D"), "W": ("D", "M"), "b": ("M",)}, {}, None, {}, None)

What is what is found by asking: an instance is made at small sizes, its forward and backward run under NumPy, and
looked at before and after. `found.told` says what was taken for what; what was not found is said as well, never guessed
in silence. The two functions make a fresh instance at each call, so the user's own class and instance stay as they are.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from symbackprop.checking.budget import SHARES
from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler, Sizes
from symbackprop.checking.user_run import quietly, user_line
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import MalformedError, SymbackpropError, UnsupportedError
from symbackprop.expression.build import Symbol
from symbackprop.expression.program import Program, symbols
from symbackprop.frontends.numpy.dialects import OWN_CODE
from symbackprop.frontends.numpy.time_limit import OutOfTime, alarm
from symbackprop.frontends.numpy.traced import says_upstream
from symbackprop.frontends.numpy.tracer import Tracer, who_sets
from symbackprop.frontends.structures import input_named, members_of
from symbackprop.frontends.subject import must_be_taken
from symbackprop.frontends.torch.subjects import is_module

FORWARD = ("forward", "__call__", "forward_pass", "forward_propagation", "fprop", "fwd", "loss", "predict")
BACKWARD = ("backward", "backward_pass", "backward_propagation", "backprop", "bprop", "bwd", "gradient", "gradients",
            "grad")  # fmt: skip
OWN_CODE.append(__file__)  # the functions that make a layer and run it are rebuilt with it, and no code of the user's
HELD = ("data", "value", "val", "weight", "array", "w", "params")  # where a parameter object keeps its numbers
DEEPEST = 12  # steps: model, list, block, attention, projection, its parameter object, its numbers are 7
DISTINCT = (4, 3, 5, 6, 2, 7, 8, 9, 10, 11), tuple(range(12, 132, 12))  # the latter in two, three or four groups
OTHER_LENGTHS = (*range(2, 13), 16, 24)  # an axis of length 1 fits to any
MOST_TOLD = 4  # arrays that an instance keeps
MOST_TRIED = 200  # ways to fill in the arguments of a constructor
Path = tuple[Any, ...]  # steps from the instance: attributes, keys of dictionaries, places of lists
_Place = tuple[str, Any]  # of a gradient: ("returned", place in what backward returns) or ("kept", path)


@dataclass(frozen=True)
class LayerPasses:
    """What a layer is taken for.

    Args:
        told: what was taken for what, a line each.
        shapes, assume, where: as given, with the parameters that an instance holds, and its lengths for sizes.
        others: where a layer leaves a gradient twice, the further places, each with a backward pass that gives what is
            there.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    told: tuple[str, ...]
    shapes: dict[str, Any]
    assume: dict[str, str]
    where: str | None
    others: tuple[FurtherPlace, ...] = ()


@dataclass(frozen=True)
class FurtherPlace:
    """Where a layer leaves the gradient of an input once more."""

    name: str
    first: str  # the places, as they are told
    place: str
    backward: Callable[..., Any]


@dataclass(frozen=True)
class _Plan:
    """How to make an instance, run it, and find its gradients."""

    subject: Any
    arguments: dict[str, Any]  # of the constructor: an input's name, (input, axis), or a value in a list
    places: dict[str, tuple[Path, ...]]  # parameter -> where it is put
    forward: str
    backward: str
    forward_arguments: dict[str, str]  # argument of the forward method -> input
    backward_arguments: dict[str, str]
    fixed: dict[str, dict[str, Any]]
    upstream: tuple[str, ...]  # one for each output, or one for all of them
    cache: str | None
    gradients: dict[str, _Place]
    cleared: tuple[tuple[str, tuple[Path, ...]], ...] = ()  # arrays for gradients, each with all its places: 0 first
    copied: tuple[Path, ...] = ()  # further arrays of an instance that its methods change

    @property
    def own(self) -> set[Path]:
        """Where its parameters are, and the arrays for their gradients."""
        return {path for paths in (*self.places.values(), *(paths for _, paths in self.cleared)) for path in paths}


def is_layer(subject: Any) -> bool:
    """True for a class, or an object of one, that has a forward and a backward method of some name."""
    if inspect.isroutine(subject) or inspect.ismodule(subject):
        return False
    return any(callable(getattr(subject, n, None)) for n in BACKWARD)


def layer_passes(
    subject: Any,
    shapes: Mapping[str, Any],
    assume: Mapping[str, str],
    where: str | None,
    fixed: Mapping[str, Any],
    methods: Sequence[str] | None,
) -> LayerPasses:
    """The forward and the backward pass of a layer.

    Args:
        subject: its class, or an instance.
        shapes: of the data that its forward takes, and of its parameters: "W" is an attribute, an argument of the
        constructor, or a key of a dictionary that the layer holds; "fc1.W" is that of one of its layers. Parameters of
        an instance that are not named here are inputs of the shapes that they have, if its backward leaves or returns
        their gradients; and a size of the data is the length that the instance takes, if it takes no other.
        fixed: further arguments of the constructor and of the methods.
        methods: the names of the forward and the backward method, where they have others than usual.

    Raises:
        MalformedError: something was not found; the message says where it was looked for.
    """
    if is_module(subject):
        raise MalformedError(f"a module, {type(subject).__name__}, without a backward pass",
                             help="check(module, backward, shapes=...); or have it derived and proved: "
                             "prove(trace(module, shapes))")  # fmt: skip
    if not (is_layer(subject) or (methods and not inspect.isroutine(subject))):
        raise MalformedError("a forward pass without a backward pass: neither a second function nor a layer",
                             evidence=[f"looked for a method:  {', '.join(BACKWARD)}"],
                             help="check(forward, backward, shapes=...), or check(Layer, shapes=...)")  # fmt: skip
    finder = _Finder(subject, dict(shapes), dict(assume), where, dict(fixed), methods)
    if isinstance(subject, type):
        return finder.passes()
    found, lengths = finder.passes(), finder.only_lengths()
    if lengths:
        finder = finder.at_lengths(lengths)
        found = finder.passes()
    held = finder.unnamed()
    return finder.with_shapes(held).passes() if held else found


def with_further_place(verdict: Verdict, further: FurtherPlace, found: Verdict) -> Verdict:
    """The verdict on a layer, after what lies at a further place was judged.

    Args:
        found: the verdict on the gradient that lies there.
    """
    where = f"of {further.name} {further.place}, beside {further.first}"
    if verdict.status == "MALFORMED":
        return verdict
    if found.status == "PROVED":
        conditions = tuple(dict.fromkeys((*verdict.conditions, *found.conditions)))
        return replace(verdict, conditions=conditions, notes=(*verdict.notes, f"judged as well, and right: {where}"))
    if found.status == "REFUTED" and verdict.status == "REFUTED":
        wrong = tuple(dict.fromkeys((*verdict.wrong, *found.wrong)))
        told = f"wrong as well: {where}" + (f": {found.diagnosis}" if found.diagnosis else "")
        return replace(verdict, wrong=wrong, notes=(*verdict.notes, told))
    if found.status == "REFUTED":
        return replace(found, notes=(*found.notes, f"this is the gradient {where}"), unjudged=verdict.unjudged)
    if verdict.status == "REFUTED":
        return replace(verdict, notes=(*verdict.notes, f"not decided: {where}"))
    reason = f"not decided is the gradient {where}" + (f": {found.reason}" if found.reason else "")
    return replace(verdict, status="UNDECIDED", scope="", conditions=(), reason=reason)


class _NotRunError(MalformedError):
    """A layer's own method raises something."""


def malformed_layer(subject: Any, error: SymbackpropError) -> Verdict:
    """The verdict on what is no layer whose forward and backward pass are found."""
    kind = subject if isinstance(subject, type) else type(subject)
    name = getattr(subject, "__name__", kind.__name__)
    if type(error) is UnsupportedError:
        return Verdict("UNDECIDED", f"gradients of {name}", reason=str(error))
    return Verdict("MALFORMED", f"gradients of {name}", reason=str(error), diagnosis=error.what)


class _Finder:
    """Finds out what is what in a layer."""

    def __init__(
        self,
        subject: Any,
        shapes: dict[str, Any],
        assume: dict[str, str],
        where: str | None,
        fixed: dict[str, Any],
        methods: Sequence[str] | None,
    ) -> None:
        self.subject, self.shapes, self.fixed = subject, shapes, fixed
        self.assume, self.where, self.chosen_methods = assume, where, methods
        self.lengths: dict[str, int] = {}  # sizes of the data that the instance determines
        self.kind = subject if isinstance(subject, type) else type(subject)
        self.name = self.kind.__name__
        self.real = [n for n in shapes if not str(assume.get(n, "")).startswith("label")]
        self.forward, self.backward = self._methods(methods)
        tracer = Tracer(shapes, assume, where)
        program = Program(tuple(tracer.inputs.values()), (), (), (), tracer.assumptions, tracer.domain)
        sampler = Sampler(Question(program, program, {}), random.Random(3))
        distinct = [dict(zip(sampler.symbols, lengths, strict=False)) for lengths in DISTINCT]  # they tell axes apart
        choices = [sizes for sizes in distinct if sampler.allowed(sizes)]
        choices = choices or sorted(sampler.size_choices(), key=lambda sizes: -len(set(sizes.values())))[:1]
        if not choices:
            raise MalformedError("no small sizes were found at which the layer could be tried")
        self.sampler, self.tensors, self.choices = sampler, list(tracer.inputs.values()), choices
        self.points = [self._values_at(sizes) for sizes in choices]
        self.values = self.points[0]
        self.told: dict[str, Any] = {}  # what the constructor is given

    def _values_at(self, sizes: Sizes) -> dict[str, Any]:
        inputs = self.sampler.point(sizes).inputs
        return {t.name: inputs[t].copy()[()] for t in self.tensors}

    def _methods(self, methods: Sequence[str] | None) -> tuple[str, str]:
        if methods is not None:
            missing = [m for m in methods if not callable(getattr(self.kind, m, None))]
            if len(methods) != 2 or isinstance(methods, str) or missing:
                what = f"{self.name} has no method {missing[0]}" if missing else "methods does not name two methods"
                raise MalformedError(what, help='write methods=("forward", "backward")')
            return methods[0], methods[1]
        found = []
        for names, what in ((FORWARD, "forward"), (BACKWARD, "backward")):
            own = set(dir(self.kind))  # every class can be called, not every object
            name = next((n for n in names if n in own and inspect.isroutine(getattr(self.kind, n))), None)
            if name is None:
                raise MalformedError(f"{self.name} has no {what} method", evidence=[f"looked for:  {', '.join(names)}"],
                                     help='name them: methods=("run", "pull_back")')  # fmt: skip
            found.append(name)
        return found[0], found[1]

    # --- the instance

    def passes(self) -> LayerPasses:
        """The two functions, and what was taken for what."""
        takers = [getattr(self.kind, m) for m in (self.forward, self.backward)]
        must_be_taken(self.fixed, [*takers, *([self.subject] if isinstance(self.subject, type) else [])], self.name)
        arguments, layer = self._made()
        _, forward_arguments, forward_fixed = self._arguments(self.forward)
        inputs = set(forward_arguments.values())
        built = {v for v in arguments.values() if isinstance(v, str)}
        places: dict[str, tuple[Path, ...]] = {}
        for name in self.shapes:
            if name not in inputs:
                found = tuple(self._places(layer, name))
                if not found and name not in built:
                    raise self._unfound(layer, name)
                places[name] = () if name in built else found
        for one, other in itertools.combinations(places, 2):
            if set(places[one]) & set(places[other]):
                raise UnsupportedError(f"{one} and {other} are one array of {self.name}", help="name one of them")
        # from here on the layer is one with the parameters that were drawn
        plan = _Plan(self.subject, arguments, places, self.forward, self.backward, forward_arguments, {},
                     {self.forward: forward_fixed}, (), None, {})  # fmt: skip
        plan = replace(plan, cleared=tuple(self._kept_gradients(plan, layer)))
        return self._run(plan)

    def _run(self, plan: _Plan) -> LayerPasses:
        """What a layer is taken for, after it has run: an instance at the first sizes at which both passes run."""
        if isinstance(self.subject, type):
            return self._run_with(plan, self.values)
        failed: _NotRunError | None = None
        for sizes in itertools.islice(self._sizes_to_try(plan), MOST_TRIED):
            try:
                found = self._run_with(plan, self._values_at(sizes))
            except _NotRunError as error:
                failed = failed or error
                continue
            self._ran = (plan, sizes)
            return found
        assert failed is not None, "there are sizes"
        names = [s.name for s in self._data_sizes(plan)]
        if not names:
            raise failed
        tried = f"tried with several lengths of {', '.join(names)}, those of the instance's own arrays too"
        help = failed.help or 'a length may be a number: ("N", 8)'
        raise MalformedError(failed.what, where=failed.where, evidence=[tried], help=help)

    def _run_with(self, plan: _Plan, values: dict[str, Any]) -> LayerPasses:
        self.values = values
        return self._completed(plan, *self._after_forward(plan))

    def _made(self) -> tuple[dict[str, Any], Any]:
        """An instance, and what its constructor is given."""
        if not isinstance(self.subject, type):
            return {}, copy.deepcopy(self.subject)
        parameters = self._of_constructor()
        failed: Exception | None = None
        misfit: str | None = None
        for values, told in itertools.islice(self._tries(parameters), MOST_TRIED):
            self.values = values
            try:
                with quietly(), alarm(SHARES["run of the user's code"].seconds):
                    layer = self.subject(**{k: _value(v, self.values) for k, v in told.items()})
                misfit = self._misfit(layer)
                if misfit is None:
                    self.told = told
                    return told, layer
            except OutOfTime:
                raise UnsupportedError(f"the constructor of {self.name} does not end in time") from None
            except Exception as error:  # whatever the constructor raises
                failed = error
        why = f": {type(failed).__name__}: {failed}" if failed else ""
        where = user_line(failed) if failed else None
        taken = ", ".join(p.name for p in parameters)
        first = next((p.name for p in parameters if p.name not in self.fixed and p.name not in self.shapes), "units")
        raise MalformedError(f"no {self.name} could be made with parameters of the shapes given{why}",
                             where=where, evidence=[*filter(None, [misfit]), f"its constructor takes:  {taken}"],
                             help=f"say its arguments, fixed={{{first!r}: ...}}, or hand over an instance")  # fmt: skip

    def _of_constructor(self) -> list[inspect.Parameter]:
        """What its constructor takes, though a metaclass may hand on whatever it is given."""
        parameters = list(inspect.signature(self.subject).parameters.values())
        if parameters and all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            return list(inspect.signature(inspect.getattr_static(self.kind, "__init__")).parameters.values())[1:]
        return parameters

    def _tries(self, parameters: list[inspect.Parameter]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(inputs, arguments of the constructor): what has a default keeps it, unless nothing else fits."""
        known: dict[str, Any] = {}
        wanted: list[str] = []
        kept: list[str] = []
        for p in parameters:
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                continue
            if p.name in self.fixed:
                known[p.name] = [self.fixed[p.name]]
            elif p.name in self.shapes:
                known[p.name] = p.name
            elif p.default is p.empty:
                wanted.append(p.name)
            elif type(p.default) is int:
                kept.append(p.name)
        for changed in range(len(kept) + 1):
            for values in self.points:
                found = self._sizes(values)
                for names in itertools.combinations(kept, changed):
                    asked = (*wanted, *names)
                    sizes = [sorted(found, key=lambda at, w=w: str(self.shapes[at[0]][at[1]]) != w) for w in asked]  # type: ignore[misc]
                    for chosen in itertools.product(*sizes):
                        yield values, {**known, **dict(zip(asked, chosen, strict=True))}

    def _sizes(self, values: Mapping[str, Any]) -> list[tuple[str, int]]:
        """Axes of inputs that have different lengths: what a constructor may be told."""
        found: dict[int, tuple[str, int]] = {}
        parameters = [n for n in self.shapes if n in self.real]
        for name in reversed(parameters):  # of parameters first: the data come first in shapes
            for axis, n in enumerate(np.shape(values[name])):
                found.setdefault(n, (name, axis))
        return list(found.values())

    def _misfit(self, layer: Any) -> str | None:
        """A parameter that the layer holds in another shape than the one given; a cache may have the name of data."""
        data = inspect.signature(getattr(self.kind, self.forward)).parameters
        for name in (n for n in self.shapes if n not in data):
            for path in self._places(layer, name):
                held = _held(layer, path)
                if isinstance(held, np.ndarray) and np.shape(held) != np.shape(self.values[name]):
                    return (f"{self._shown(path)}:  of shape {np.shape(held)}, "
                            f"where {self.shapes[name]} was tried as {np.shape(self.values[name])}")  # fmt: skip
        return None

    def _places(self, layer: Any, name: str) -> Iterator[Path]:
        """Where a layer keeps a parameter; several places that hold the same array are all told."""
        *before, leaf = name.split(".")
        prefix = _reached(layer, before)
        if prefix is None:
            return
        holder = _at(layer, prefix)
        if isinstance(holder, list) and leaf.isdigit():
            first: Path | None = (int(leaf),)
        else:
            first = next((p for p in self._candidates(holder, leaf)), None)
        if first is None:
            return
        held = _held(holder, first)
        yield (*prefix, *first)
        for path, other in _walk(layer):
            if other is held and path != (*prefix, *first) and isinstance(held, np.ndarray):
                yield path

    def _candidates(self, holder: Any, leaf: str) -> Iterator[Path]:
        """Where an object may keep a parameter: what its forward pass reads comes before what an optimiser keeps."""
        read = _names_read(type(holder), (self.forward, *FORWARD))
        for path in sorted(((leaf,), *((a, leaf) for a in _groups(holder))), key=lambda path: path[0] not in read):
            try:
                held = _at(holder, path)
            except (AttributeError, KeyError, IndexError, TypeError, ValueError):
                continue
            if callable(held) and not hasattr(held, "__dict__"):
                continue
            if held is None or isinstance(held, (np.ndarray, int, float, np.generic)):
                yield path
            else:
                yield from ((*path, h) for h in HELD if isinstance(getattr(held, h, None), (np.ndarray, float, int)))
        if not hasattr(holder, leaf) and _is_read(holder, leaf):  # set by whoever uses the layer, before it runs
            yield (leaf,)

    def _unfound(self, layer: Any, name: str) -> MalformedError:
        groups = _groups(layer).items()
        dictionaries = [
            f"{self.name}.{a}[{name!r}]" if isinstance(v, dict) else f"{self.name}.{a}.{name}" for a, v in groups
        ]
        looked = [f"an argument of {self.forward}", f"{self.name}.{name}", *dictionaries]
        return MalformedError(f"{name} was not found in {self.name}", evidence=[f"looked for:  {', '.join(looked)}"],
                              help="name an argument of its forward, or a parameter as the layer calls it")  # fmt: skip

    # --- what an instance determines

    def with_shapes(self, shapes: Mapping[str, Any]) -> _Finder:
        """The same question with further inputs."""
        result = _Finder(self.subject, {**self.shapes, **shapes}, self.assume, self.where, self.fixed,
                         self.chosen_methods)  # fmt: skip
        result.lengths = self.lengths
        return result

    def at_lengths(self, lengths: Mapping[str, int]) -> _Finder:
        """The same question with lengths in place of sizes."""
        pattern = re.compile(rf"\b({'|'.join(map(re.escape, lengths))})\b")

        def put_in(text: Any) -> Any:
            if isinstance(text, str) and text in lengths:
                return lengths[text]
            return pattern.sub(lambda m: str(lengths[m[0]]), text) if isinstance(text, str) else text

        shapes = {
            n: tuple(map(put_in, s)) if isinstance(s, (tuple, list)) else put_in(s) for n, s in self.shapes.items()
        }
        assume = {n: put_in(text) for n, text in self.assume.items()}
        result = _Finder(self.subject, shapes, assume, put_in(self.where), self.fixed, self.chosen_methods)
        result.lengths = dict(lengths)
        return result

    def _data_sizes(self, plan: _Plan) -> list[Symbol]:
        """The sizes that only its data have, those of last axes first: features come after examples."""
        data, rest = set(plan.forward_arguments.values()), dict[Symbol, int]()
        for tensor in self.tensors:
            for k, n in enumerate(tensor.shape):
                rest |= {s: max(k, rest.get(s, 0)) for s in symbols(n)} if tensor.name in data else {}
        held = {s for t in self.tensors if t.name not in data for n in t.shape for s in symbols(n)}
        return sorted((s for s in rest if s in self.sampler.symbols and s not in held), key=lambda s: -rest[s])

    def _sizes_to_try(self, plan: _Plan) -> Iterator[Sizes]:
        """Small sizes, then those with lengths of the instance's arrays for some sizes of its data: for few first."""
        yield from self.choices
        arrays = (v for _, v in _walk(self.subject) if isinstance(v, np.ndarray))
        lengths = list(dict.fromkeys(n for a in arrays for n in np.shape(a) if n))
        for count in (1, 2, 3):
            for names in itertools.combinations(self._data_sizes(plan), count):
                for chosen in itertools.product(lengths, repeat=count):
                    sizes = {**self.choices[0], **dict(zip(names, chosen, strict=True))}
                    if self.sampler.allowed(sizes):
                        yield sizes

    def only_lengths(self) -> dict[str, int]:
        """Sizes of its data of which an instance takes one length alone, as far as small ones show."""
        plan, ran = self._ran
        found: dict[str, int] = {}
        for symbol in self._data_sizes(plan):
            others = ({**ran, symbol: n} for n in OTHER_LENGTHS if n != ran[symbol])
            if not any(self._runs(plan, sizes) for sizes in others if self.sampler.allowed(sizes)):
                found[symbol.name] = ran[symbol]
        return found

    def _runs(self, plan: _Plan, sizes: Sizes) -> bool:
        try:
            self._run_with(plan, self._values_at(sizes))
        except _NotRunError:
            return False
        return True

    def unnamed(self) -> dict[str, tuple[int, ...]]:
        """Parameters of an instance that shapes does not name, but whose gradients its backward leaves or returns."""
        return {name: np.shape(_at(self.subject, path)) for name, path in self._unnamed.items()}

    def _find_unnamed(self, plan: _Plan, layer: Any, returned: Any, before: Mapping[Path, Any]) -> dict[str, Path]:
        taken = {path for paths in plan.places.values() for path in paths}
        found: dict[str, Path] = {}
        spare: list[tuple[str, Path]] = []
        for path, held in _walk(self.subject):
            if path in taken or not isinstance(held, np.ndarray) or held.dtype.kind != "f":
                continue
            name = _parameter_name(self.subject, path)
            if name in self.shapes or next(self._places(layer, name), None) != path:
                continue
            own = self._gradient_path(replace(plan, places={name: (path,)}), layer, name, before, np.shape(held))
            if own is not None and own != path and _is_written(layer, own, before):
                found[name] = path
            else:
                spare.append((name, path))
        if isinstance(returned, (tuple, list)):
            rest = returned[len([n for n in (*plan.forward_arguments.values(), *plan.places) if n in self.real]) :]
            for value, (name, path) in zip(rest, spare, strict=False):
                if np.shape(value) != np.shape(_at(self.subject, path)):
                    break
                found[name] = path
        elif (members := members_of(returned)) is not None:
            found |= {n: p for n, p in spare if any(input_named(key, [n]) == n for key in members)}
        return found

    # --- methods

    def _arguments(self, method: str, upstream: bool = False) -> tuple[list[str], dict[str, str], dict[str, Any]]:
        """(arguments that no input is named for, argument -> input, argument -> fixed value)."""
        function = inspect.getattr_static(self.kind, method)
        parameters = list(inspect.signature(getattr(self.kind, method)).parameters.values())
        if not isinstance(function, (staticmethod, classmethod)):
            parameters = parameters[1:]
        named: dict[str, str] = {}
        fixed: dict[str, Any] = {}
        open_: list[str] = []
        for p in parameters:
            if p.name in self.fixed:
                fixed[p.name] = self.fixed[p.name]
            elif p.name in self.shapes:
                named[p.name] = p.name
            elif p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                open_.append(p.name)
        if not upstream:  # what has another name in shapes is taken in order
            left = [n for n in self.shapes if n not in named.values() and not self._is_held(n)]
            for argument, name in zip(list(open_), left, strict=False):
                named[argument] = name
                open_.remove(argument)
            if open_:
                raise MalformedError(f"{self.name}.{method} takes {', '.join(open_)}, of which shapes says nothing",
                                     help="give its shape, or its value by fixed=")  # fmt: skip
        return open_, named, fixed

    def _is_held(self, name: str) -> bool:
        if not hasattr(self, "_held"):
            arguments, layer = self._made()
            built = {v for v in arguments.values() if isinstance(v, str)}
            self._held = {n for n in self.shapes if n in built or next(self._places(layer, n), None) is not None}
        return name in self._held

    def _called(self, layer: Any, method: str, values: dict[str, Any], fixed: dict[str, Any]) -> Any:
        limit = SHARES["run of the user's code"].seconds
        try:
            with alarm(limit):
                result = getattr(layer, method)(**values, **fixed)
        except OutOfTime:
            evidence = [f"with arrays of these shapes:  {', '.join(f'{n} {np.shape(v)}' for n, v in values.items())}"]
            raise UnsupportedError(f"{self.name}.{method} has not ended after {limit:g} s", evidence=evidence,
                                   help="does it wait for something, or loop without an end?") from None  # fmt: skip
        except Exception as error:
            where = user_line(error)
            what = f"{self.name}.{method} raises {type(error).__name__}: {error}"
            guessed = [k for k, v in self.told.items() if isinstance(v, tuple)]
            if guessed and isinstance(error, (AttributeError, TypeError, ValueError)):
                help = f"{', '.join(guessed)} of its constructor was given the length of an axis: say what it is by"
                raise UnsupportedError(what, where=where, help=help + " fixed=, or hand over an instance") from None
            raise _NotRunError(what, where=where, help=who_sets(error)) from None
        if inspect.iscoroutine(result) or inspect.isgenerator(result):
            what = "yields values" if inspect.isgenerator(result) else "is a coroutine"
            result.close()
            raise MalformedError(f"{self.name}.{method} {what}", help="a plain method must return them")
        return result

    def _completed(self, plan: _Plan, layer: Any, result: Any) -> LayerPasses:
        open_, named, fixed = self._arguments(self.backward, upstream=True)
        several = isinstance(result, tuple) and 1 < len(result) == len(open_)
        cached = several and len(result) == 2 and not _is_upstream(open_[1], result[1])
        output = result[0] if cached else result
        signature = inspect.signature(getattr(self.kind, self.backward)).parameters
        if not open_ and np.ndim(output) > 0:  # an upstream gradient with a default
            rest = [n for n, p in signature.items() if n not in named and n not in fixed and p.default is not p.empty]
            open_ = rest[:1]
        if len(open_) > (len(result) if several else 1):
            raise MalformedError(f"{self.name}.{self.backward} takes {', '.join(open_)}, of which shapes says nothing",
                                 help="it takes the upstream gradient; give other values by fixed=")  # fmt: skip
        upstream, cache = tuple(open_[:1] if cached else open_), (open_[1] if cached else None)
        values = {a: self.values[n] for a, n in named.items()}
        if upstream:
            given = _upstream(output)
            values.update(zip(upstream, given if len(upstream) > 1 else (given,), strict=True))
        if cache is not None:
            values[cache] = result[1]
        before = {path: np.copy(v) for path, v in _walk(layer) if isinstance(v, (np.ndarray, float, int, np.generic))}
        with quietly():
            returned = self._called(layer, self.backward, values, fixed)
        buffers = tuple(b for b in plan.cleared if self._is_buffer(plan, b, layer, result))
        if buffers != plan.cleared:
            plan = replace(plan, cleared=buffers)
            return self._completed(plan, *self._after_forward(plan))
        gradients, more = self._gradients(plan, layer, returned, before)
        self._unnamed = {} if isinstance(self.subject, type) else self._find_unnamed(plan, layer, returned, before)
        if not gradients and not self._unnamed:
            raise MalformedError(f"no gradient was found: {self.name}.{self.backward} returns none and leaves none",
                                 help="return it, or leave it as self.dW, self.grads['W'] or W.grad")  # fmt: skip
        whole = replace(plan, backward_arguments=named, fixed={**plan.fixed, self.backward: fixed}, upstream=upstream,
                        cache=cache, gradients=gradients)  # fmt: skip
        whole = replace(whole, copied=tuple(self._changed(whole, layer)))
        others = tuple(
            FurtherPlace(n, self._place(whole, gradients[n]), self._place(whole, place),
                         _functions(replace(whole, gradients={n: place}))[1])
            for n, place in more
        )  # fmt: skip
        told = self._told(whole, layer, returned)
        return LayerPasses(*_functions(whole), told, self.shapes, self.assume, self.where, others)

    # --- gradients

    def _kept_gradients(self, plan: _Plan, layer: Any) -> Iterator[tuple[str, tuple[Path, ...]]]:
        """Arrays of an instance that hold the gradients of its parameters, each with all places that hold it."""
        parameters = {path for paths in plan.places.values() for path in paths}
        known: set[Path] = set()
        for name, paths in plan.places.items():
            for path in dict.fromkeys(self._gradient_places(plan, layer, name)):
                held = _held(layer, path)
                like = np.shape(_held(layer, paths[0])) if paths else None
                if path in parameters or path in known or not isinstance(held, np.ndarray) or np.shape(held) != like:
                    continue
                shared = tuple(p for p, other in _walk(layer) if other is held and p != path)
                known.update((path, *shared))
                yield name, (path, *shared)

    def _is_buffer(self, plan: _Plan, place: tuple[str, tuple[Path, ...]], layer: Any, result: Any) -> bool:
        """True if an array is one for a gradient, not a gain or a mask of such a name: the backward pass has written
        it, and the forward pass does not read it.

        Args:
            layer, result: one with zeros in it, after both passes, and what its forward pass has returned.
        """
        if not np.any(_held(layer, place[1][0])):
            return False
        others = replace(plan, cleared=tuple(b for b in plan.cleared if b != place))
        try:
            _, kept = self._after_forward(others)
        except _NotRunError:
            return False
        return _same_numbers(result, kept)

    def _after_forward(self, plan: _Plan) -> tuple[Any, Any]:
        """A fresh layer after its forward pass, and what that returns."""
        data = {a: self.values[n] for a, n in plan.forward_arguments.items()}
        with quietly():
            layer = _instance(plan, self.values)
            result = self._called(layer, plan.forward, data, plan.fixed[plan.forward])
        if result is None:
            raise MalformedError(f"{self.name}.{plan.forward} returns nothing")
        return layer, result

    def _again(self, plan: _Plan) -> Iterator[str]:
        """What there is to say of a layer whose forward pass returns something else when it is called once more."""
        layer, first = self._after_forward(plan)
        data = {a: self.values[n] for a, n in plan.forward_arguments.items()}
        kept = copy.deepcopy(first)  # a buffer that the next call may write into
        try:
            with quietly():
                second = self._called(layer, plan.forward, data, plan.fixed[plan.forward])
        except SymbackpropError:
            return
        if not _same_numbers(kept, second):
            yield f"judged the first call of {self.name}.{plan.forward}: a second one returns something else"

    def _constants(self, plan: _Plan, layer: Any) -> Iterator[Path]:
        """Arrays of decimals that a layer holds, that its methods do not change and nothing is asked about."""
        if isinstance(self.subject, type):
            with quietly():
                made = _instance(plan, self.values)
        else:
            made = self.subject
        own = plan.own
        built = [self.values[v] for v in plan.arguments.values() if isinstance(v, str)]
        for path, held in _walk(made):
            if not isinstance(held, np.ndarray) or held.dtype.kind != "f" or path in {*own, *plan.copied}:
                continue
            now = _held(layer, path)
            kept = isinstance(now, np.ndarray) and np.array_equal(held, now, equal_nan=True)
            if made is self.subject or (kept and not any(held is value for value in built)):
                yield path

    def _changed(self, plan: _Plan, layer: Any) -> Iterator[Path]:
        """Further arrays of an instance that its methods have changed."""
        if isinstance(self.subject, type):
            return
        own = plan.own
        for path, held in _walk(self.subject):
            if isinstance(held, np.ndarray) and path not in own:
                now = _held(layer, path)
                if not (isinstance(now, np.ndarray) and np.array_equal(held, now, equal_nan=held.dtype.kind == "f")):
                    yield path

    def _gradients(
        self, plan: _Plan, layer: Any, returned: Any, before: Mapping[Path, Any]
    ) -> tuple[dict[str, _Place], list[tuple[str, _Place]]]:
        """Where the gradient of each input is, and where it is once more: what is returned comes first."""
        found = dict(self._returned_gradients(plan, returned))
        more: list[tuple[str, _Place]] = []
        for name in self.real:
            kept = self._gradient_paths(plan, layer, name, before)
            if name in found:
                first = _at(returned, _steps(found[name]))
            elif kept:
                found[name] = ("kept", kept[0])
                first = _at(layer, kept[0])
            for path in kept:
                value = _at(layer, path)
                if (
                    path != found[name][1]
                    and self._is_for_gradient(layer, path, name)
                    and _is_written(layer, path, before)
                ):
                    same = value is first or (np.ndim(value) == 0 and value == first)
                    more += [] if same else [(name, ("kept", path))]
        return {n: found[n] for n in self.shapes if n in found}, more

    def _returned_gradients(self, plan: _Plan, returned: Any) -> Iterator[tuple[str, _Place]]:
        data = [n for n in plan.forward_arguments.values() if n in self.real]
        rest = [n for n in (*data, *plan.places) if n in self.real]
        members = members_of(returned)
        named = {} if members is None else {k: input_named(k, self.real) for k in members}
        if members is not None and not (isinstance(returned, tuple) and not set(named.values()) & set(self.real)):
            for k, (key, value) in enumerate(members.items()):
                if named[key] in self.real and np.shape(value) == np.shape(self.values[named[key]]):
                    yield named[key], ("returned", k if isinstance(returned, tuple) else key)
        elif isinstance(returned, (tuple, list)):
            for k, (name, value) in enumerate(zip(rest, returned, strict=False)):
                if value is not None and np.shape(value) == np.shape(self.values[name]):
                    yield name, ("returned", k)
        elif returned is not None and data and np.shape(returned) == np.shape(self.values[data[0]]):
            yield data[0], ("returned", None)

    def _gradient_path(
        self, plan: _Plan, layer: Any, name: str, before: Mapping[Path, Any], shape: tuple[int, ...] | None = None
    ) -> Path | None:
        return next(iter(self._gradient_paths(plan, layer, name, before, shape)), None)

    def _gradient_paths(
        self, plan: _Plan, layer: Any, name: str, before: Mapping[Path, Any], shape: tuple[int, ...] | None = None
    ) -> list[Path]:
        """Where a gradient is left on the layer: what the backward pass has written first, never a parameter itself."""
        shape = np.shape(self.values[name]) if shape is None else shape
        parameters = {path for paths in plan.places.values() for path in paths}
        found: list[Path] = []
        for path in dict.fromkeys(self._gradient_places(plan, layer, name)):
            try:
                held = _at(layer, path)
            except (AttributeError, KeyError, IndexError, TypeError, ValueError):
                continue
            own = path in parameters or any(held is v for v in self.values.values())
            if not own and isinstance(held, (np.ndarray, float, int, np.generic)) and np.shape(held) == shape:
                found.append(path)
        written = [p for p in found if _is_written(layer, p, before)]
        return [*written, *(p for p in found if p not in written)]

    def _is_for_gradient(self, layer: Any, path: Path, name: str) -> bool:
        """True if a place can be for nothing but the gradient, by its name: no velocity, no mean of gradients."""
        *before, leaf = name.split(".")
        prefix = _reached(layer, before) or ()
        own = path[len(prefix) :]
        group = r"_?(param(eter)?s?_)?grad(ient)?s?_?"
        return any(re.fullmatch(group, str(step)) for step in own) or own in (
            (n,) for n in (f"d{leaf}", f"d_{leaf}", f"grad_{leaf}", f"{leaf}_grad", f"gradient_{leaf}")
        )

    def _gradient_places(self, plan: _Plan, layer: Any, name: str) -> Iterator[Path]:
        *before, leaf = name.split(".")
        prefix = _reached(layer, before)
        if prefix is None:
            return
        names = (f"d{leaf}", f"d_{leaf}", f"grad_{leaf}", f"{leaf}_grad", f"g{leaf}", f"grad{leaf}", f"d{leaf.lower()}",
                 f"{leaf}grad", f"delta_{leaf}", f"{leaf}_gradient", f"gradient_{leaf}", f"nabla_{leaf}")  # fmt: skip
        places = plan.places.get(name, ())
        for place in places:  # a parameter object has its own: W.grad beside W.data
            if len(place) > 1 and not isinstance(_at(layer, place[:-1]), (dict, list)):
                yield from ((*place[:-1], g) for g in ("grad", "gradient", "g", "dw"))
        for n in names:
            yield (*prefix, n)
        try:
            holder = _at(layer, prefix)
            owner = _at(layer, prefix[:-1])
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            return
        if isinstance(holder, list) and leaf.isdigit():  # params and grads, side by side
            for attribute, value in _attributes(owner).items():
                if isinstance(value, list) and value is not holder and "grad" in attribute.lower():
                    yield (*prefix[:-1], attribute, int(leaf))
        for attribute in _groups(holder):
            if "cache" not in attribute:
                if _says_gradient(attribute):
                    yield (*prefix, attribute, leaf)
                yield from ((*prefix, attribute, n) for n in names)
        for attribute, value in _attributes(holder).items():
            if isinstance(value, list) and "grad" in attribute.lower():  # params and grads, side by side
                for place in places:
                    if isinstance(place[-1], int):
                        yield (*prefix, attribute, place[-1])
                for path, held in _walk(layer):
                    if isinstance(path[-1], int) and "grad" not in str(path[-2]) and held is self.values.get(name):
                        yield (*prefix, attribute, path[-1])

    def _shown(self, path: Path) -> str:
        return self.name + "".join(_shown(s, k) for k, s in enumerate(path))

    def _place(self, plan: _Plan, place: _Place) -> str:
        """A place of a gradient, in words."""
        how, at = place
        if how == "kept":
            return self._shown(at)
        return f"what {plan.backward} returns{'' if at is None else f' at {at!r}'}"

    def _told(self, plan: _Plan, layer: Any, returned: Any) -> tuple[str, ...]:
        """What was taken for what."""

        def call(method: str, named: Mapping[str, str], *first: str) -> str:
            shown = [*first, *(a if a == n else f"{a}={n}" for a, n in named.items())]
            return f"{self.name}.{method}({', '.join(shown)})"

        given = [*plan.upstream, *([f"{plan.cache}=what {plan.forward} returns second"] if plan.cache else [])]
        result = [f"took {call(plan.forward, plan.forward_arguments)} for the forward pass and "
                  f"{call(plan.backward, plan.backward_arguments, *given)} for the backward pass"]  # fmt: skip
        made = {k: v if isinstance(v, str) else f"{v[0]}.shape[{v[1]}]" for k, v in plan.arguments.items()
                if isinstance(v, (str, tuple))}  # fmt: skip
        if self.lengths:
            result.append(f"took {', '.join(f'{n} = {k}' for n, k in self.lengths.items())}: "
                          f"this {self.name} takes no other length")  # fmt: skip
        if made:
            result.append(f"took for its constructor: {', '.join(f'{k}={v}' for k, v in made.items())}")
        held = [f"{n} is {self._shown(p[0])}" for n, p in plan.places.items() if p]
        if held:
            result.append(f"took for its parameters: {', '.join(held)}")
        places = [f"of {n} {self._place(plan, place)}" for n, place in plan.gradients.items()]
        result.append(f"took for the gradients: {', '.join(places)}")
        kept = list(self._constants(plan, layer))
        if kept:
            shown_ = ", ".join(map(self._shown, kept[:MOST_TOLD])) + (" ..." if len(kept) > MOST_TOLD else "")
            result.append(f"took as they are, and no inputs: {shown_}")
        missing = [n for n in self.real if n not in plan.gradients]
        data = [n for n in plan.forward_arguments.values() if n in self.real]
        if isinstance(returned, np.ndarray) and data[:1] == missing[:1] != []:
            left = [_at(layer, at) for how, at in plan.gradients.values() if how == "kept"]
            if not any(returned is value for value in left):
                shape = np.shape(self.values[data[0]])
                result.append(f"what {plan.backward} returns is no gradient of {data[0]}: it has the shape "
                              f"{np.shape(returned)}, where {data[0]} has {shape}")  # fmt: skip
        if missing:
            looked = f"{self.name}.d{missing[0]}, {self.name}.grads[{missing[0]!r}], {missing[0]}.grad"
            result.append(f"no gradient of {', '.join(missing)} was found (looked for {looked} and their like)")
        result += self._again(plan)
        return tuple(result)


def _steps(place: _Place) -> Path:
    """The steps to what a backward method returns at a place."""
    return () if place[1] is None else (place[1],)


def _is_written(layer: Any, path: Path, before: Mapping[Path, Any]) -> bool:
    """True if a backward pass has changed what was there before it."""
    return path not in before or not np.array_equal(before[path], _at(layer, path))


def _parameter_name(layer: Any, path: Path) -> str:
    """The name of what an instance holds there: "W", "fc1.W", without the dictionary or the object that it is in."""
    steps = [s for k, s in enumerate(path[:-1]) if path[k] not in _groups(_at(layer, path[:k]))]
    last, holder = path[-1], _at(layer, path[:-1])
    if (
        steps
        and last in HELD
        and not (isinstance(holder, (dict, list, tuple, SimpleNamespace)) or _runs_forward(holder))
    ):
        return ".".join(map(str, steps))
    return ".".join(map(str, (*steps, last)))


def _shown(step: Any, k: int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"


def _same_numbers(left: Any, right: Any) -> bool:
    """True if two outputs of one layer, or what it hands over to its backward pass, hold the same numbers."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same_numbers(left[k], right[k]) for k in left)
    if isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)):
        return len(left) == len(right) and all(map(_same_numbers, left, right))
    number = (np.ndarray, float, int, np.generic)
    return not isinstance(left, number) or np.array_equal(left, right, equal_nan=True)


def _is_upstream(argument: str, output: Any) -> bool:
    """True if an argument of a backward method is the upstream gradient of a second output, by its name; a mask or a
    cache that the forward hands over is none."""
    return isinstance(output, (np.ndarray, float, np.floating)) and says_upstream(argument)


def _upstream(output: Any) -> Any:
    """Numbers in the shape of the outputs."""
    if isinstance(output, (tuple, list)):
        return tuple(_upstream(o) for o in output)
    shape = np.shape(output)
    return np.linspace(0.5, 1.5, int(np.prod(shape))).reshape(shape)[()]


# --- walking through an instance ----------------------------------------------------------------------------------


def _attributes(value: Any) -> dict[str, Any]:
    return dict(vars(value)) if hasattr(value, "__dict__") and not isinstance(value, type) else {}


def _groups(holder: Any) -> dict[str, Any]:
    """What an object keeps its parameters, its gradients or its layers in by name: dictionaries and namespaces."""
    found = {a: v for a, v in _attributes(holder).items() if isinstance(v, (dict, SimpleNamespace))}
    return dict(sorted(found.items(), key=lambda item: _says_gradient(item[0])))


def _says_gradient(attribute: str) -> bool:
    """True if what has such a name keeps gradients."""
    return "grad" in attribute.lower() or attribute.lower().startswith("d") or attribute == "g"


def _reached(layer: Any, steps: Sequence[str]) -> Path | None:
    """The path that a dotted name leads along: attributes, places of lists, and keys of what groups layers."""
    path: Path = ()
    for step in steps:
        holder = _at(layer, path)
        ways: tuple[Path, ...] = ((int(step) if step.isdigit() else step,), *((a, step) for a in _groups(holder)))
        way = next((w for w in ways if _held(holder, w) is not None), None)
        if way is None:
            return None
        path = (*path, *way)
    return path


def _runs_forward(holder: Any) -> bool:
    """True for a layer, False for a parameter object, which may have a backward method too."""
    return is_layer(holder) and any(callable(getattr(type(holder), n, None)) for n in FORWARD)


def _names_read(kind: type, methods: Sequence[str]) -> set[str]:
    """The names that methods of a class speak of, and the methods that they call."""
    found: set[str] = set()
    waiting = list(methods)
    while waiting:
        function = inspect.getattr_static(kind, waiting.pop(), None)
        if inspect.isfunction(function):
            names = set(function.__code__.co_names) - found
            found |= names
            waiting += names
    return found


def _is_read(holder: Any, name: str) -> bool:
    """True if methods of an object's class read this attribute."""
    methods = (f for c in type(holder).__mro__ for f in vars(c).values() if inspect.isfunction(f))
    return any(name in f.__code__.co_names for f in methods)


def _step(holder: Any, step: Any) -> Any:
    if isinstance(holder, (list, tuple)):
        return holder[int(step)]
    return holder[step] if isinstance(holder, dict) else getattr(holder, str(step))


def _at(holder: Any, path: Path) -> Any:
    for step in path:
        holder = _step(holder, step)
    return holder


def _held(holder: Any, path: Path) -> Any:
    """What an instance holds there; None where whoever uses the layer is to put it."""
    try:
        return _at(holder, path)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return None


def _walk(layer: Any) -> Iterator[tuple[Path, Any]]:
    """All that an instance holds, with the steps that lead there."""
    stack: list[tuple[Path, Any]] = [((), layer)]
    seen: set[int] = set()
    while stack:
        path, value = stack.pop()
        if path:
            yield path, value
        if id(value) in seen or len(path) >= DEEPEST or isinstance(value, (np.ndarray, str)):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            inner = list(value.items())
        elif isinstance(value, (list, tuple)):
            inner = list(enumerate(value))
        else:
            inner = list(_attributes(value).items())
        stack.extend((*path, k) and ((*path, k), v) for k, v in reversed(inner))


# --- the two functions --------------------------------------------------------------------------------------------


def _value(told: Any, values: Mapping[str, Any]) -> Any:
    """What an argument of a constructor is: an input, one of its lengths, or a fixed value."""
    if isinstance(told, str):
        return values[told]
    return told[0] if isinstance(told, list) else values[told[0]].shape[told[1]]


def _instance(plan: _Plan, values: Mapping[str, Any]) -> Any:
    made, _, _ = _makers(plan)
    return made(values)


def _functions(plan: _Plan) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """forward(**inputs) and backward(dout, **inputs), in the user's own module: they are followed like his code."""
    _, forward, backward = _makers(plan)
    return forward, backward


def _makers(plan: _Plan) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    subject, is_class = plan.subject, isinstance(plan.subject, type)
    template = None if is_class else copy.deepcopy(subject)
    arguments, places = list(plan.arguments.items()), [(n, p) for n, paths in plan.places.items() for p in paths]
    forward_name, backward_name = plan.forward, plan.backward
    forward_data, backward_data = list(plan.forward_arguments.items()), list(plan.backward_arguments.items())
    forward_fixed, backward_fixed = plan.fixed.get(forward_name, {}), plan.fixed.get(backward_name, {})
    upstream, cache = plan.upstream, plan.cache
    cleared, copied = list(plan.cleared), list(plan.copied)
    gradients = [(n, how, at) for n, (how, at) in plan.gradients.items()]

    def made(inputs: Any) -> Any:
        if is_class:
            values = {}
            for argument, told in arguments:
                if isinstance(told, str):
                    values[argument] = inputs[told]
                elif isinstance(told, list):
                    values[argument] = told[0]
                else:
                    values[argument] = inputs[told[0]].shape[told[1]]
            layer = subject(**values)
        else:
            layer = copy.deepcopy(template)
        for path in copied:
            put(layer, path, np.array(at(layer, path)))
        for name, paths in cleared:
            zeros = np.zeros(np.shape(inputs[name]))
            for path in paths:
                put(layer, path, zeros)
        for name, path in places:
            put(layer, path, inputs[name])
        return layer

    def put(layer: Any, path: Any, value: Any) -> None:
        holder = at(layer, path[:-1])
        if isinstance(holder, (dict, list)):
            holder[path[-1]] = value
        else:
            setattr(holder, path[-1], value)

    def at(holder: Any, path: Any) -> Any:
        for step in path:
            holder = holder[step] if isinstance(holder, (dict, list, tuple)) else getattr(holder, step)
        return holder

    def run(layer: Any, inputs: Any) -> Any:
        return getattr(layer, forward_name)(**{a: inputs[n] for a, n in forward_data}, **forward_fixed)

    def forward(**inputs: Any) -> Any:
        result = run(made(inputs), inputs)
        return result[0] if cache is not None else result

    def pulled(dout: Any, inputs: Any) -> Any:
        layer = made(inputs)
        result = run(layer, inputs)
        values = {a: inputs[n] for a, n in backward_data}
        if len(upstream) == 1:
            values[upstream[0]] = dout
        else:
            for k, argument in enumerate(upstream):
                values[argument] = dout[k]
        if cache is not None:
            values[cache] = result[1]
        returned = getattr(layer, backward_name)(**values, **backward_fixed)
        found = {}
        for name, how, place in gradients:
            if how == "kept":
                found[name] = at(layer, place)
            else:
                found[name] = returned if place is None else at(returned, (place,))
        return found

    def backward(dout: Any, **inputs: Any) -> Any:
        return pulled(dout, inputs)

    def backward_of_scalar(**inputs: Any) -> Any:
        return pulled(None, inputs)

    kind = subject if is_class else type(subject)
    for function in (made, put, at, run, forward, pulled, backward, backward_of_scalar):
        function.__module__ = kind.__module__
    forward.__name__ = f"{kind.__name__}.{forward_name}"
    backward.__name__ = backward_of_scalar.__name__ = f"{kind.__name__}.{backward_name}"
    return made, forward, backward if upstream else backward_of_scalar


__all__ = ["FurtherPlace", "LayerPasses", "is_layer", "layer_passes", "malformed_layer", "with_further_place"]
