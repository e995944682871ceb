"""What becomes of values: inputs, outputs, metadata, the maps of generations."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import io
import pathlib
import types
import typing
import uuid

from library import attempt, langfuse, say

UTC = datetime.timezone.utc


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Number(enum.IntEnum):
    ONE = 1


class Word(str, enum.Enum):
    A = "a"


@dataclasses.dataclass
class Point:
    x: int
    y: typing.Any = None


@dataclasses.dataclass(frozen=True)
class Line:
    start: Point
    ends: list


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a = 1


class Plain:
    def __init__(self, **fields):
        self.__dict__.update(fields)


class Mixed(Slotted):
    def __init__(self):
        super().__init__()
        self.c = 3


class Named(typing.NamedTuple):
    a: int
    b: str


class Typed(typing.TypedDict):
    a: int


def _sent(**values):
    client = langfuse.get_client()
    for name, value in values.items():
        attempt(name, lambda: client.start_observation(name=name, input=value, metadata={"value": value}).end())


def scalars():
    _sent(
        none=None,
        true=True,
        false=False,
        zero=0,
        int=5,
        negative=-7,
        float=1.5,
        whole=3.0,
        small=1e-9,
        large_float=1e300,
        tiny=5e-324,
        negative_zero=-0.0,
        text="text",
        empty="",
        blank=" ",
    )


def text():
    _sent(
        unicode="ünïcödé 漢字 🦀",
        quotes='say "hi"',
        lines="a\nb\tc\r\n",
        control="\x00\x01\x1f\x7f",
        backslash="a\\b",
        html="<b>&amp;</b>",
        separators="\u2028\u2029",
        surrogate="\ud83d",
        pair="\ud83e\udd80",
    )
    _sent(inside=["ünïcödé", "\x00", "a\\b", "\u2028", "🦀", "\ud83d"])


def text_that_looks_like_json():
    _sent(object='{"a": 1}', list="[1, 2]", number="12", quoted='"q"', word="true", null="null", broken='{"a":', nan="NaN")


def integers():
    safe = 2**53 - 1
    _sent(at=safe, above=safe + 1, below=-safe, under=-safe - 1, sixty_four=2**63, huge=10**40)
    _sent(inside=[safe, safe + 1, -safe - 1, 2**64])


def not_finite():
    _sent(nan=float("nan"), infinity=float("inf"), minus=float("-inf"), inside=[float("nan"), float("inf")], member={"a": float("nan")})


def dates():
    plus = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    _sent(
        utc=datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        micros=datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        offset=datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=plus),
        naive=datetime.datetime(2026, 1, 2, 3, 4, 5),
        summer=datetime.datetime(2026, 7, 2, 3, 4, 5),
        date=datetime.date(2026, 1, 2),
        time=datetime.time(3, 4, 5),
        delta=datetime.timedelta(hours=1, microseconds=5),
        days=datetime.timedelta(days=400, seconds=1),
        inside=[datetime.date(2026, 1, 2), {"at": datetime.datetime(2026, 1, 2, tzinfo=UTC)}],
        early=datetime.datetime(1, 1, 1),
        late=datetime.datetime(9999, 12, 31, 23, 59, 59),
    )


def identifiers_and_paths():
    _sent(
        uuid=uuid.UUID("12345678-1234-5678-1234-567812345678"),
        path=pathlib.PurePosixPath("/a/b.txt"),
        here=pathlib.Path("x"),
        windows=pathlib.PureWindowsPath("C:\\x"),
        inside=[uuid.UUID(int=5), pathlib.Path("y")],
    )


def enums():
    _sent(enum=Colour.RED, pair=Colour.PAIR, int=Number.ONE, word=Word.A, inside={"c": Colour.RED, "n": Number.ONE, "w": Word.A}, cls=Colour)


def flags():
    class Right(enum.Flag):
        READ = 1
        WRITE = 2

    _sent(one=Right.READ, both=Right.READ | Right.WRITE)


def decimals_and_fractions():
    import fractions

    _sent(decimal=decimal.Decimal("1.10"), fraction=fractions.Fraction(1, 3), complex=1 + 2j, nan=decimal.Decimal("NaN"))


def byte_strings():
    _sent(
        text=b"text",
        unicode="ü".encode(),
        binary=b"\xff\xfe",
        array=bytearray(b"abc"),
        view=memoryview(b"xyz"),
        numbers=array.array("i", [1, 2]),
        inside=[b"a", b"\xff", bytearray(b"c")],
        empty=b"",
    )


def containers():
    _sent(
        list=[1, [2, [3]]],
        empty_list=[],
        empty_dict={},
        tuple=(1, "a"),
        set={1},
        frozen=frozenset(["a"]),
        empty_set=set(),
        deque=collections.deque([1, 2]),
        range=range(3),
        ordered=collections.OrderedDict(a=1),
        counter=collections.Counter("aab"),
        default=collections.defaultdict(list, a=[1]),
        chain=collections.ChainMap({"a": 1}),
        proxy=types.MappingProxyType({"a": 1}),
        keys={"a": 1}.keys(),
        values={"a": 1}.values(),
        items={"a": 1}.items(),
    )


def keys():
    _sent(
        ints={1: "a", 2: "b"},
        floats={1.5: "a"},
        bools={True: "a", False: "b"},
        none={None: "a"},
        tuples={(1, 2): "a"},
        mixed={1: "a", "1": "b"},
        enums={Colour.RED: 1, Number.ONE: 2, Word.A: 3},
        dates={datetime.date(2026, 1, 1): 1},
        uuids={uuid.UUID(int=1): 1},
        bytes={b"k": 1},
        unicode={"ü": 1, "": 2},
        nan={float("nan"): 1},
    )


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


def metadata_that_is_no_dict():
    client = langfuse.get_client()
    for name, value in {"text": "t", "number": 5, "float": 1.5, "bool": True, "list": [1, {"a": 2}], "none": None, "point": Point(1, 2), "empty": ""}.items():
        client.start_observation(name=name, metadata=value).end()


def metadata_keys():
    client = langfuse.get_client()
    client.start_observation(
        name="one",
        metadata={"a.b": 1, "a b": 2, "ü": 3, "": 4, 5: 5, "a": {"b": 6}, "long" * 50: 7, "attributes": 8, "scope": {"name": 1}, True: 9, None: 10},
    ).end()


def metadata_that_is_a_mapping():
    client = langfuse.get_client()
    for name, value in {
        "ordered": collections.OrderedDict(a=1),
        "proxy": types.MappingProxyType({"a": 1}),
        "default": collections.defaultdict(int, a=1),
        "empty": {},
    }.items():
        client.start_observation(name=name, metadata=value).end()


def many_metadata_keys():
    client = langfuse.get_client()
    client.start_observation(name="hundred", metadata={f"key{at}": at for at in range(100)}).end()
    client.start_observation(name="two hundred", metadata={f"key{at}": at for at in range(200)}, output="kept").end()


def outputs():
    client = langfuse.get_client()
    for name, value in {"zero": 0, "false": False, "empty": "", "none": None, "list": [], "nested": {"a": [Point(1)]}}.items():
        with client.start_as_current_observation(name=name) as one:
            one.update(output=value)


def model_parameters():
    client = langfuse.get_client()
    for name, value in {
        "all": {"t": 0.5, "n": 1, "b": True, "s": "x", "l": ["a"], "none": None, "inf": float("inf"), "big": 2**60},
        "empty": {},
        "nested": {"tools": [{"name": "t"}], "format": {"type": "json"}},
        "objects": {"colour": Colour.RED, "at": datetime.date(2026, 1, 1)},
    }.items():
        client.start_observation(name=name, as_type="generation", model="m", model_parameters=value).end()


def usage_and_cost():
    client = langfuse.get_client()
    for name, usage, cost in (
        ("ints", {"input": 1, "output": 2, "total": 3}, {"input": 0.1, "total": 0.3}),
        ("more", {"input_cached": 5, "audio": 1}, {"total": 1}),
        ("floats", {"input": 1.0, "output": 2.5}, {"total": 0.0}),
        ("none", {"input": None, "output": 1}, {"total": None}),
        ("nested", {"input": 1, "details": {"cached": 2}}, {"input": {"a": 1}}),
        ("empty", {}, {}),
        ("large", {"input": 2**60}, {"total": 1e-12}),
        ("nan", {"input": 1}, {"total": float("nan")}),
    ):
        client.start_observation(name=name, as_type="generation", usage_details=usage, cost_details=cost).end()


def usage_of_libraries():
    class Usage:
        def __init__(self):
            self.prompt_tokens = 1
            self.completion_tokens = 2

    client = langfuse.get_client()
    attempt("object", lambda: client.start_observation(name="object", as_type="generation", usage_details=Usage()).end())
    attempt("counter", lambda: client.start_observation(name="counter", as_type="generation", usage_details=collections.Counter(input=2)).end())


def models_and_versions_of_other_types():
    client = langfuse.get_client()
    for name, value in {"number": 5, "enum": Word.A, "colour": Colour.RED, "empty": "", "float": 1.5}.items():
        attempt(name, lambda: client.start_observation(name=name, as_type="generation", model=value, version=value, status_message=value).end())


def completion_start_times():
    client = langfuse.get_client()
    for name, value in {
        "utc": datetime.datetime(2026, 1, 1, 12, tzinfo=UTC),
        "naive": datetime.datetime(2026, 1, 1, 12),
        "offset": datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=-3))),
        "text": "2026-01-01T12:00:00Z",
    }.items():
        attempt(name, lambda: client.start_observation(name=name, as_type="generation", completion_start_time=value).end())


def prompts_linked():
    client = langfuse.get_client()
    for kind in ("generation", "span", "agent", "embedding"):
        attempt(kind, lambda: client.start_observation(name=f"a {kind}", as_type=kind, prompt=_Prompt("greet", 3)).end())
    one = client.start_observation(name="updated", as_type="generation")
    attempt("update", one.update, prompt=_Prompt("later", 4))
    one.end()
    attempt("fallback", lambda: client.start_observation(name="fallback", as_type="generation", prompt=_Prompt("f", 0, True)).end())


class _Prompt:
    def __init__(self, name, version, is_fallback=False):
        self.name, self.version, self.is_fallback = name, version, is_fallback


def prompts_of_langfuse():
    from langfuse.api import Prompt_Text
    from langfuse.model import TextPromptClient

    prompt = Prompt_Text(name="greet", version=7, prompt="hi", config={}, labels=[], tags=[], commit_message=None, type="text")
    client = langfuse.get_client()
    client.start_observation(name="one", as_type="generation", prompt=TextPromptClient(prompt)).end()
    client.start_observation(name="two", as_type="generation", prompt=TextPromptClient(prompt, is_fallback=True)).end()
    with langfuse.propagate_attributes(prompt=TextPromptClient(prompt)):
        client.start_observation(name="three", as_type="generation").end()


def large_values():
    client = langfuse.get_client()
    client.start_observation(name="text", input="x" * 500_000).end()
    client.start_observation(name="list", input=[{"n": n, "text": "word " * 20} for n in range(2_000)]).end()


def conversations():
    client = langfuse.get_client()
    client.start_observation(
        name="chat",
        as_type="generation",
        input=[
            {"role": "system", "content": "Be ünïque."},
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
        ],
        output={"role": "assistant", "content": "<b>yo</b>\n"},
    ).end()


