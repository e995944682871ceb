"""What becomes of values: inputs, outputs, metadata, the maps of generations."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import pathlib
import types
import typing
import uuid

from library import attempt, langfuse

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
