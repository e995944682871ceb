"""What a client is made with: masks, sampling, environments, releases, switched off."""

from __future__ import annotations

from library import attempt, langfuse, say, settings

_KEPT = "00000000000000000000000000000001"
_LEFT_OUT = "ffffffffffffffffffffffffffffffff"


def _redact(*, data, **_):
    if isinstance(data, str):
        return data.replace("secret", "***")
    if isinstance(data, dict):
        return {key: _redact(data=value) for key, value in data.items()}
    if isinstance(data, list):
        return [_redact(data=item) for item in data]
    return data


def a_mask():
    client = langfuse.Langfuse(mask=_redact)
    with client.start_as_current_observation(name="secret name", input="a secret", metadata={"k": "secret", "n": {"m": "secret"}}) as one:
        one.update(output=["secret", {"deep": "secret"}], status_message="secret", version="secret")
        one.create_event(name="event", input="secret")
    client.create_score(name="s", value=1, trace_id=_KEPT, comment="secret")


def a_mask_over_observe():
    langfuse.Langfuse(mask=_redact)

    @langfuse.observe()
    def function(text, *, key):
        return {"said": text}

    @langfuse.observe()
    def words():
        yield "sec"
        yield "ret"

    function("a secret", key="secret")
    list(words())


def what_a_mask_sees():
    seen = []

    def mask(*, data, **more):
        seen.append([type(data).__name__, sorted(more)])
        return data

    client = langfuse.Langfuse(mask=mask)
    client.start_observation(name="one", input={"a": 1}, output="o", metadata={"m": 1, "n": [2]}).end()
    client.start_observation(name="two", as_type="generation", model="m", model_parameters={"t": 1}, metadata="text").end()
    client.start_observation(name="three", input=None).end()
    say("seen", seen)


def a_mask_over_propagated_metadata():
    client = langfuse.Langfuse(mask=_redact)
    with langfuse.propagate_attributes(user_id="secret", metadata={"k": "secret"}):
        client.start_observation(name="one").end()


def a_mask_that_fails():
    def mask(*, data, **_):
        raise ValueError("no")

    client = langfuse.Langfuse(mask=mask)
    client.start_observation(name="one", input="i", output={"o": 1}, metadata={"a": 1, "b": 2}).end()
    client.start_observation(name="two", metadata="text").end()


def a_mask_that_fails_now_and_then():
    def mask(*, data, **_):
        if "bad" in str(data):
            raise ValueError("no")
        return data

    client = langfuse.Langfuse(mask=mask)
    client.start_observation(name="one", input="good", output="bad", metadata={"a": "good", "b": "bad"}).end()


def a_mask_that_returns_other_things():
    for name, result in {"none": None, "number": 5, "object": {"masked": True}, "text": "masked"}.items():
        client = langfuse.Langfuse(public_key=f"pk-{name}", secret_key="sk", mask=lambda *, data, result=result, **_: result)
        client.start_observation(name=name, input="i", output={"o": 1}, metadata={"a": 1}).end()


@settings(LANGFUSE_SAMPLE_RATE="0")
def nothing_sampled():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="one") as one:
        say("ids", [len(one.trace_id), one.trace_id != "0" * 32])
        client.start_observation(name="child").end()
        one.score(name="of it", value=1)
    client.create_score(name="of a session", value=1, session_id="s")
    client.create_score(name="of a trace", value=1, trace_id=_KEPT)
    client.create_score(name="of a trace with a name", value=1, trace_id="my-trace")


@settings(LANGFUSE_SAMPLE_RATE="0.5")
def half_sampled():
    client = langfuse.get_client()
    for at in range(16):
        trace_id = client.create_trace_id(seed=f"trace {at}")
        with client.start_as_current_observation(name=f"root {at}", trace_context={"trace_id": trace_id}):
            client.start_observation(name=f"child {at}").end()
        client.create_score(name=f"score {at}", value=at, trace_id=trace_id)


def sampled_by_the_constructor():
    client = langfuse.Langfuse(sample_rate=0.5)
    for name, trace_id in {"kept": _KEPT, "left out": _LEFT_OUT}.items():
        client.start_observation(name=name, trace_context={"trace_id": trace_id}).end()


def all_sampled():
    client = langfuse.Langfuse(sample_rate=1.0)
    client.start_observation(name="one", trace_context={"trace_id": _LEFT_OUT}).end()


@settings(LANGFUSE_TRACING_ENVIRONMENT="staging", LANGFUSE_RELEASE="v1.2.3")
def environment_and_release():
    client = langfuse.get_client()
    with client.start_as_current_observation(name="one"):
        client.start_observation(name="two", as_type="generation").end()
    client.create_event(name="event")
    client.create_score(name="s", value=1, trace_id=_KEPT)


@settings(LANGFUSE_TRACING_ENVIRONMENT="staging", LANGFUSE_RELEASE="v1")
def environment_and_release_of_the_constructor():
    client = langfuse.Langfuse(environment="own", release="mine")
    client.start_observation(name="one").end()


@settings(LANGFUSE_TRACING_ENVIRONMENT="Not Allowed")
def an_environment_that_servers_refuse():
    client = langfuse.get_client()
    client.start_observation(name="one").end()
    client.create_score(name="s", value=1, trace_id=_KEPT)


@settings(GITHUB_SHA="abc123")
def a_release_of_the_build():
    langfuse.get_client().start_observation(name="one").end()


@settings(LANGFUSE_TRACING_ENABLED="false")
def switched_off_by_the_environment():
    _silent(langfuse.get_client())


def switched_off_by_the_constructor():
    _silent(langfuse.Langfuse(tracing_enabled=False))


@settings(LANGFUSE_SECRET_KEY=None)
def without_a_secret():
    _silent(langfuse.Langfuse())


@settings(LANGFUSE_SECRET_KEY="")
def with_an_empty_secret():
    _silent(langfuse.Langfuse())


@settings(LANGFUSE_PUBLIC_KEY=None, LANGFUSE_SECRET_KEY=None)
def without_keys():
    _silent(langfuse.Langfuse())


def _silent(client):
    with client.start_as_current_observation(name="one", input=1) as one:
        one.update(output=2)
        one.score(name="s", value=1)
        say("ids", [len(one.trace_id), len(one.id)])
        child = one.start_observation(name="child")
        child.end()
        one.create_event(name="event")
    client.create_score(name="s", value=1, trace_id=_KEPT)
    with langfuse.propagate_attributes(user_id="u"):
        pass

    @langfuse.observe()
    def function(x):
        return x + 1

    say("observed", function(1))
    client.flush()
    client.shutdown()


def switched_off_after_it_was_on():
    langfuse.Langfuse().start_observation(name="before").end()
    _silent(langfuse.Langfuse(tracing_enabled=False))
    langfuse.get_client().start_observation(name="after").end()


def switched_on_after_it_was_off():
    langfuse.Langfuse(tracing_enabled=False).start_observation(name="before").end()
    langfuse.Langfuse().start_observation(name="between").end()
    langfuse.get_client().start_observation(name="after").end()


def a_check_of_the_keys_elsewhere():
    client = langfuse.Langfuse(base_url="http://127.0.0.1:9", timeout=1)
    say("auth", attempt("auth", client.auth_check))


def a_check_of_the_keys():
    say("auth", langfuse.get_client().auth_check())


def trace_urls():
    client = langfuse.get_client()
    say("outside", client.get_trace_url())
    say("named", client.get_trace_url(trace_id=_KEPT))


@settings(LANGFUSE_OTEL_COMPRESSION="none")
def without_compression():
    langfuse.get_client().start_observation(name="one").end()


def without_compression_by_the_constructor():
    langfuse.Langfuse(otel_compression="none").start_observation(name="one").end()


def additional_headers():
    client = langfuse.Langfuse(additional_headers={"x-langfuse-team": "mine", "X-Langfuse-Other": "2"})
    client.start_observation(name="one").end()
    client.create_score(name="s", value=1, trace_id=_KEPT)


@settings(LANGFUSE_FLUSH_AT="1", LANGFUSE_FLUSH_INTERVAL="0.05")
def flushed_often():
    client = langfuse.get_client()
    for at in range(5):
        client.start_observation(name=f"number {at}").end()


@settings(OTEL_SERVICE_NAME="my service", OTEL_RESOURCE_ATTRIBUTES="deployment.environment=x,team=y")
def resources():
    langfuse.get_client().start_observation(name="one").end()


def unknown_options():
    attempt("client", lambda: langfuse.Langfuse(colour="red"))


def bad_options():
    for name, value in {"sample_rate": 2.0, "flush_at": 0, "flush_interval": 0, "timeout": -1}.items():
        attempt(name, lambda: langfuse.Langfuse(public_key=f"pk-{name}", secret_key="sk", **{name: value}).start_observation(name=name).end())


@settings(LANGFUSE_TIMEOUT="2.5")
def a_broken_setting():
    attempt("client", lambda: langfuse.Langfuse().start_observation(name="one").end())
