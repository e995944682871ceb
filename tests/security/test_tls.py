"""TLS is checked: a private authority is trusted when named, anything else is refused. Proxies are used as configured."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from program import environment
from relay import Proxy, Relay, address_of

USER, PASSWORD = "porter", "s3cret-of-the-proxy"

TRACE = """
import os
from tracespool import Client

client = Client()
with client.start_as_current_observation(name="step") as observation:
    observation.score(name="worth", value=1.0)
report = client.flush(timeout=5.0)
print(report["delivered"], flush=True)
os._exit(0)
"""


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return ca


def relay(receiver, authority: trustme.CA, *names: str) -> Relay:
    """The collector behind TLS, with a certificate for `names`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return Relay(address_of(receiver.url), context)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority_is_trusted_when_named(receiver, program, authority, tmp_path, variable):
    server = relay(receiver, authority, "localhost")
    environ = environment(f"https://localhost:{server.port}", **{variable: str(tmp_path / "authority.pem")})
    ended = program(TRACE).run(environ)
    assert (ended.code, ended.out) == (0, "2\n"), ended.err
    assert receiver.whole() == (1, 1, 0, 0)


def test_an_unknown_authority_is_refused(receiver, program, authority):
    server = relay(receiver, authority, "localhost")
    refused(receiver, program, server, {})


def test_another_authority_is_refused(receiver, program, authority, tmp_path):
    server = relay(receiver, trustme.CA(), "localhost")
    refused(receiver, program, server, {"SSL_CERT_FILE": str(tmp_path / "authority.pem")})


def test_a_certificate_for_another_name_is_refused(receiver, program, authority, tmp_path):
    server = relay(receiver, authority, "elsewhere.test")
    refused(receiver, program, server, {"SSL_CERT_FILE": str(tmp_path / "authority.pem")})


def test_plain_http_where_tls_was_asked_for_is_refused(receiver, program):
    refused(receiver, program, Relay(address_of(receiver.url)), {})


def refused(receiver, program, server: Relay, settings: dict[str, str]) -> None:
    ended = program(TRACE.replace("timeout=5.0", "timeout=1.5")).run(environment(f"https://localhost:{server.port}", **settings))
    assert (ended.code, ended.out) == (0, "0\n"), ended.err
    assert receiver.whole()[:2] == (0, 0)
    # It was tried, and no request was uttered: the credentials stayed at home.
    assert server.refused_handshakes or server.connections
    assert not server.ports_that_sent(b"uthorization")


def test_through_a_proxy_with_a_password(receiver, program, authority, tmp_path):
    server = relay(receiver, authority, "collector.test")
    proxy = Proxy(("127.0.0.1", server.port), USER, PASSWORD)
    environ = environment(
        # A name that only the proxy knows: nothing may try to resolve it here.
        "https://collector.test",
        SSL_CERT_FILE=str(tmp_path / "authority.pem"),
        HTTPS_PROXY=f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}",
    )
    ended = program(TRACE).run(environ)
    assert (ended.code, ended.out) == (0, "2\n"), ended.err
    assert receiver.whole() == (1, 1, 0, 0)
    assert set(proxy.asked) == {"collector.test:443"}
    # The proxy carried TLS and saw neither keys nor data.
    assert not proxy.ports_that_sent(b"uthorization")


def test_a_wrong_proxy_password_is_an_error_and_not_shown(receiver, program, authority, tmp_path):
    server = relay(receiver, authority, "collector.test")
    proxy = Proxy(("127.0.0.1", server.port), USER, PASSWORD)
    environ = environment(
        "https://collector.test",
        SSL_CERT_FILE=str(tmp_path / "authority.pem"),
        HTTPS_PROXY=f"http://{USER}:not-the-password@127.0.0.1:{proxy.port}",
    )
    ended = program("import logging\nlogging.basicConfig(level=1)\n" + TRACE.replace("timeout=5.0", "timeout=1.5")).run(environ)
    assert (ended.code, ended.out) == (0, "0\n"), ended.err
    assert proxy.turned_away > 0 and not proxy.asked
    assert "not-the-password" not in ended.err


def test_no_proxy_goes_straight(receiver, program, authority, tmp_path):
    server = relay(receiver, authority, "localhost")
    proxy = Proxy(("127.0.0.1", 9), USER, PASSWORD)
    environ = environment(
        f"https://localhost:{server.port}",
        SSL_CERT_FILE=str(tmp_path / "authority.pem"),
        HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}",
        NO_PROXY="localhost,example.org",
    )
    ended = program(TRACE).run(environ)
    assert (ended.code, ended.out) == (0, "2\n"), ended.err
    assert not proxy.asked and not proxy.turned_away
    assert receiver.whole() == (1, 1, 0, 0)
