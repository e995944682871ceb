"""What Python values become in a trace."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import gc
import json
import math
import pathlib
import sys
import time
import types
import uuid
import weakref
from typing import Any

import pytest

from tracespool._native import encode

numpy = pytest.importorskip("numpy")
pydantic = pytest.importorskip("pydantic")

UTC = datetime.timezone.utc


class Color(enum.Enum):
    RED = "red"


class Word(str, enum.Enum):
    A = "aa"


class Number(enum.IntEnum):
    THREE = 3


@dataclasses.dataclass
class Point:
    x: int
    y: list[Any]
    init_only: dataclasses.InitVar[int] = 3
    shared: Any = dataclasses.field(default=None)
    CONSTANT = 5


class Model(pydantic.BaseModel):
    x: int
    inner: list[Model] = []
    secret: pydantic.SecretStr = pydantic.SecretStr("hidden")
    f: float = math.nan


class Plain:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Slots:
    __slots__ = ("p", "q")

    def __init__(self) -> None:
        self.p = 1


class MoreSlots(Slots):
    __slots__ = ("__private", "r")

    def __init__(self) -> None:
        super().__init__()
        self.__private = 2
        self.r = 3


class Text(str):
    pass


class Dict(dict):  # type: ignore[type-arg]
    pass


class List(list):  # type: ignore[type-arg]
    pass


Pair = collections.namedtuple("Pair", "a b")

TABLE: list[tuple[Any, Any]] = [
    (True, True),
    (0, 0),
    (-1, -1),
    (2**53 - 1, 2**53 - 1),
    (-(2**53) + 1, -(2**53) + 1),
    (2**53, str(2**53)),
    (-(2**53), str(-(2**53))),
    (2**70, str(2**70)),
    (-(2**200), str(-(2**200))),
    (0.5, 0.5),
    (1e100, 1e100),
    (5e-324, 5e-324),
    (math.nan, "NaN"),
    (math.inf, "Infinity"),
    (-math.inf, "-Infinity"),
    ([], []),
    ({}, {}),
    ((), []),
    ([None, [None]], [None, [None]]),
    ({1, 1}, [1]),
    (frozenset([2]), [2]),
    ((1, (2,)), [1, [2]]),
    (Pair(1, 2), [1, 2]),
    (collections.deque([1]), [1]),
    (range(3), [0, 1, 2]),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.defaultdict(list, a=[1]), {"a": [1]}),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (Dict(a=1), {"a": 1}),
    (List([1]), [1]),
    ([Text("x")], ["x"]),
    ({1: 2, None: 3, True: 4, 1.5: 5, math.nan: 6}, {"1": 4, "null": 3, "1.5": 5, "NaN": 6}),
    ({Color.RED: 1, uuid.UUID(int=1): 2, (1, 2): 3}, {"red": 1, str(uuid.UUID(int=1)): 2, "[1,2]": 3}),
    (Color.RED, "red"),
    ([Word.A], ["aa"]),
    (Number.THREE, 3),
    (uuid.UUID(int=5), str(uuid.UUID(int=5))),
    (pathlib.PurePosixPath("/a/b"), "/a/b"),
    (b"abc\n", "abc\n"),
    (bytearray(b"abc"), "abc"),
    (memoryview(b"abc"), "abc"),
    (b"\xff", "<not serializable bytes>"),
    (decimal.Decimal("1.50"), "1.50"),
    (datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), "2026-01-02T03:04:05.678901Z"),
    (
        datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        "2026-01-02T00:00:00+02:00",
    ),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.time(1, 2), "01:02:00"),
    (datetime.timedelta(seconds=5), "0:00:05"),
    (ValueError("v"), "ValueError: v"),
    (KeyError("k"), "KeyError: 'k'"),
    (Point(1, [2], 9), {"x": 1, "y": [2], "shared": None}),
    (Model(x=1, inner=[Model(x=2)]), None),
    (pydantic.SecretStr("hidden"), "<secret>"),
    (pydantic.SecretBytes(b"hidden"), "<secret>"),
    (numpy.float64(1.5), 1.5),
    (numpy.float32(0.5), 0.5),
    (numpy.int64(4), 4),
    (numpy.bool_(True), True),
    (numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (numpy.datetime64("2026-01-02"), "2026-01-02"),
    (Plain(a=1, _b=[{"x": None}]), {"a": 1, "_b": [{"x": None}]}),
    (Slots(), {"p": 1, "q": None}),
    (MoreSlots(), {"p": 1, "q": None, "__private": 2, "r": 3}),
    (object(), "<object>"),
    (len, "<builtin_function_or_method>"),
    (lambda: 0, "<function>"),
    (int, "<type>"),
    (json, "<module>"),
    ((i for i in ()), "<generator>"),
    (complex(1, 2), "<complex>"),
    ({"k": 'é\u2028\x7f\x01"\\/'}, {"k": 'é\u2028\x7f\x01"\\/'}),
]


@pytest.mark.parametrize(("value", "expected"), TABLE, ids=lambda value: type(value).__name__)
def test_table(value: Any, expected: Any) -> None:
    if isinstance(value, Model):
        expected = {"x": 1, "secret": "<secret>", "f": "NaN"}
        expected["inner"] = [{"x": 2, "inner": [], "secret": "<secret>", "f": "NaN"}]
    text = encode(value)
    assert text is not None
    assert json.loads(text) == expected


def test_text_stays_as_it_is_and_none_is_nothing() -> None:
    assert encode('plain "text"\n') == 'plain "text"\n'
    assert encode(Text("x")) == "x"
    assert encode(None) is None


def test_json_is_compact_and_not_escaped_beyond_need() -> None:
    assert encode({"a": [1, "é", None, True]}) == '{"a":[1,"é",null,true]}'


def test_lone_surrogates_are_replaced_and_pairs_joined() -> None:
    assert encode("a\ud800b") == "a\ufffdb"
    assert encode(["\ud83d\ude00", "\udc00"]) == '["😀","\ufffd"]'
    assert json.loads(encode({"\ud800": 1}) or "") == {"\ufffd": 1}


def test_naive_time_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert encode(datetime.datetime(2026, 7, 2)) == '"2026-07-02T00:00:00+02:00"'
        assert encode(datetime.datetime(2026, 1, 2)) == '"2026-01-02T00:00:00+01:00"'
        assert encode(datetime.datetime.min) is not None
    finally:
        monkeypatch.undo()
        time.tzset()


def nested(depth: int, wrap: Any) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    ("wrap", "placeholder"),
    [
        (lambda v: [v], "<list>"),
        (lambda v: {"k": v}, "<dict>"),
        (lambda v: (v,), "<tuple>"),
        (lambda v: Plain(c=v), "<Plain>"),
    ],
)
def test_depth_is_bounded(wrap: Any, placeholder: str) -> None:
    assert placeholder not in (encode(nested(19, wrap)) or "")
    assert placeholder in (encode(nested(20, wrap)) or "")
    assert placeholder in (encode(nested(100_000, wrap)) or "")


def test_cycles_end() -> None:
    me = Plain()
    me.self = me
    assert encode(me) == '{"self":"Plain"}'
    items: list[Any] = [1]
    items += [items] * 100
    assert (encode(items) or "").count("<list>") == 100
    mapping: dict[str, Any] = {}
    mapping["m"] = mapping
    assert encode(mapping) == '{"m":"<dict>"}'


class Raises:
    """Whatever is asked of it raises."""

    def __init__(self, error: BaseException) -> None:
        object.__setattr__(self, "error", error)

    def __getattribute__(self, name: str) -> Any:
        raise object.__getattribute__(self, "error")


class BadModel(Model):
    def model_dump(self, **_: Any) -> Any:
        raise RuntimeError("no")


class BadError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class BadList(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        yield 1
        raise RuntimeError("no")


class Recursive:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return self.__dict__


def test_failures_stay_inside() -> None:
    assert encode([1, Raises(ValueError()), 2]) == '[1,"<Raises>",2]'
    assert encode([BadModel(x=1)]) == '["<BadModel>"]'
    assert encode([BadError()]) == '["<BadError>"]'
    assert encode({"a": BadList(), "b": 2}) == '{"a":"<BadList>","b":2}'
    assert encode([Recursive()]) == '["<Recursive>"]'


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_travels_on(error: type[BaseException]) -> None:
    with pytest.raises(error):
        encode([Raises(error())])


def test_str_of_an_object_is_not_called() -> None:
    class Talks:
        def __str__(self) -> str:
            raise AssertionError("called")

        __repr__ = __str__

    assert encode(Talks()) == "{}"


def test_containers_may_change_on_the_way() -> None:
    class Grows:
        def __init__(self, target: Any) -> None:
            self.target = target

        def __getattribute__(self, name: str) -> Any:
            if name == "__dict__":
                target = object.__getattribute__(self, "target")
                if isinstance(target, dict):
                    target.update({str(i): i for i in range(1000)})
                else:
                    target.clear()
            return object.__getattribute__(self, name)

    mapping: dict[str, Any] = {"x": 1}
    mapping["g"] = Grows(mapping)
    assert encode(mapping) == '"<dict>"'
    items: list[Any] = []
    items += [Grows(items), 1, 2]
    assert (encode(items) or "").startswith("[")


def test_a_value_is_bounded() -> None:
    assert len(encode("x" * 20_000_000) or "") < 9_100_000
    text = encode(["é" * 10_000_000, 1, 2]) or ""
    assert len(text.encode()) < 9_100_000
    cut, note = json.loads(text)
    assert cut.endswith(" bytes]") and note == "[truncated 2 items]"
    many = json.loads(encode(list(range(3_000_000))) or "")
    assert str(many[-1]).startswith("[truncated") and len(many) < 1_500_000
    text = encode({str(i): "y" * 1000 for i in range(20_000)}) or ""
    assert "..." in json.loads(text) and len(text) < 9_200_000


def test_a_large_graph_does_not_hold_the_caller() -> None:
    nodes = [Plain(name=str(i)) for i in range(60)]
    for node in nodes:
        node.others = nodes
    began = time.monotonic()
    encode(nodes)
    assert time.monotonic() - began < 2.0


def test_no_reference_is_kept() -> None:
    class Tracked(dict):  # type: ignore[type-arg]
        pass

    value = Tracked(a=[1, Plain(b=1)], c={1: 2})
    gone = weakref.ref(value)
    before = sys.getrefcount(None)
    encode(value)
    del value
    gc.collect()
    assert gone() is None
    assert abs(sys.getrefcount(None) - before) < 50


def test_memory_does_not_grow() -> None:
    resource = pytest.importorskip("resource")
    value = {"k": ["é" * 100, 1.5, {"n": Plain(a=1)}, ValueError("x"), "\ud800"]}
    for _ in range(2_000):
        encode(value)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(50_000):
        encode(value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
