"""What becomes of objects: models, dataclasses, arrays, cycles, depth, and objects that fail."""

from __future__ import annotations

import datetime
import io
import pathlib
import types

from programs.values import UTC, Colour, Line, Mixed, Named, Plain, Point, Slotted, Typed, _sent


def dataclasses_and_tuples():
    _sent(
        point=Point(1, 2),
        nested=Line(Point(1), [Point(2), Point(3, {"z": 1})]),
        named=Named(1, "b"),
        typed=Typed(a=1),
        inside={"p": Point(1)},
        cls=Point,
    )


def models():
    import pydantic

    class Inner(pydantic.BaseModel):
        at: datetime.datetime
        tags: set[str] = set()

    class Outer(pydantic.BaseModel):
        inner: Inner
        secret: pydantic.SecretStr
        hidden: str = pydantic.Field(default="h", exclude=True)
        alias: int = pydantic.Field(default=1, alias="other")
        path: pathlib.Path = pathlib.Path("p")
        colour: Colour = Colour.RED

    class Generic(pydantic.RootModel[list[int]]):
        pass

    outer = Outer(inner=Inner(at=datetime.datetime(2026, 1, 1, tzinfo=UTC), tags={"a"}), secret=pydantic.SecretStr("s3cret"))
    _sent(model=outer, inside=[outer.inner], secret=pydantic.SecretStr("x"), root=Generic([1, 2]), cls=Outer, raw=pydantic.SecretBytes(b"y"))


def objects():
    cycle = Plain(a=1)
    cycle.me = cycle
    _sent(
        plain=Plain(a=1, b=[2]),
        empty=Plain(),
        slots=Slotted(),
        mixed=Mixed(),
        cycle=cycle,
        private=Plain(_hidden=1, __very=2),
        nested=Plain(inner=Plain(x=1)),
        bare=object(),
    )


def functions_and_classes():
    def function():
        """Nothing."""

    _sent(
        function=function,
        builtin=len,
        method=[].append,
        cls=Plain,
        module=types,
        generator=(n for n in ()),
        iterator=iter([1]),
        map=map(str, [1]),
        partial=__import__("functools").partial(function, 1),
        lambda_=lambda x: x,
        coroutine_type=types.CoroutineType,
        type=type,
        ellipsis=...,
        not_implemented=NotImplemented,
        namespace=types.SimpleNamespace(a=1),
    )


def exceptions_as_values():
    class Bare(Exception):
        pass

    _sent(
        value=ValueError("bad"),
        empty=ValueError(),
        two=ValueError("a", "b"),
        bare=Bare(),
        key=KeyError("k"),
        inside=[RuntimeError("x")],
        exit=SystemExit(3),
        group=ExceptionGroup("g", [ValueError("v")]),
    )


def streams():
    _sent(text=io.StringIO("abc"), raw=io.BytesIO(b"abc"))


def numpy_values():
    import numpy

    _sent(
        int=numpy.int64(5),
        small=numpy.int8(-1),
        large=numpy.uint64(2**63),
        float=numpy.float64(1.5),
        single=numpy.float32(0.5),
        nan=numpy.float64("nan"),
        infinity=numpy.float32("inf"),
        bool=numpy.bool_(True),
        text=numpy.str_("t"),
        array=numpy.array([1, 2]),
        matrix=numpy.array([[1.5, 2.0], [3.0, numpy.inf]]),
        words=numpy.array(["a", "b"]),
        empty=numpy.array([]),
        scalar=numpy.array(3),
        when=numpy.datetime64("2026-01-01"),
        complex=numpy.complex128(1 + 2j),
        inside={"a": numpy.array([numpy.int32(1)]), "k": [numpy.float64(2)]},
    )


def cycles():
    endless = [1]
    endless.append(endless)
    loop = {"a": 1}
    loop["self"] = loop
    first, second = {}, {}
    first["second"], second["first"] = second, first
    shared = {"s": 1}
    _sent(list=endless, dict=loop, two=first, shared=[shared, shared, {"again": shared}])


def deep():
    def dicts(levels):
        value = "bottom"
        for _ in range(levels):
            value = {"d": value}
        return value

    def lists(levels):
        value = "bottom"
        for _ in range(levels):
            value = [value]
        return value

    _sent(dict_18=dicts(18), dict_19=dicts(19), dict_20=dicts(20), dict_21=dicts(21), dict_60=dicts(60))
    _sent(list_18=lists(18), list_19=lists(19), list_20=lists(20), list_21=lists(21))


def deep_objects():
    def nest(levels, wrap):
        value = "bottom"
        for _ in range(levels):
            value = wrap(value)
        return value

    for name, wrap in {"object": lambda value: Plain(v=value), "dataclass": lambda value: Point(value), "tuple": lambda value: (value,)}.items():
        _sent(**{f"{name}_{levels}": nest(levels, wrap) for levels in (3, 9, 10, 18, 19, 20, 21)})


def subclasses():
    class Text(str):
        pass

    class Int(int):
        def __repr__(self):
            return "an int"

    class Float(float):
        pass

    class List(list):
        pass

    class Dict(dict):
        def __init__(self, *args):
            super().__init__(*args)
            self.extra = 1

    class Tuple(tuple):
        pass

    _sent(text=Text("t"), int=Int(5), float=Float(1.5), list=List([1]), dict=Dict({"a": 1}), tuple=Tuple((1,)), inside=[Text("x"), Int(2)])


def objects_that_fail():
    class Text:
        def __str__(self):
            raise ValueError("no text")

        __repr__ = __str__

    class Property:
        __slots__ = ("a",)

        @property
        def b(self):
            raise ValueError("no b")

    class Mapping(dict):
        def items(self):
            raise ValueError("no items")

    class Iterating:
        def __iter__(self):
            raise ValueError("no items")

    class Sneaky:
        def __getattr__(self, name):
            raise ValueError(name)

    class Error(Exception):
        def __str__(self):
            raise ValueError("no text")

    _sent(text=Text(), prop=Property(), mapping=Mapping(a=1), iterating=Iterating(), sneaky=Sneaky(), error=Error("x"), inside=["before", Error("x"), "after"])


def objects_with_methods_for_it():
    class Dumps:
        def model_dump(self):
            return {"dumped": True}

    class ToDict:
        def to_dict(self):
            return {"dict": True}

    class ToJson:
        def to_json(self):
            return {"json": True}

    class Json:
        def __json__(self):
            return {"json": True}

    class Callable:
        def __call__(self):
            return 1

    _sent(dumps=Dumps(), to_dict=ToDict(), to_json=ToJson(), json=Json(), callable=Callable())
