//! Certificates and proxies: whom the transport trusts, and which way it goes.

#![allow(clippy::unwrap_used)]

mod http_support;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use http_support::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tracespool_core::transport::{FailureKind, Phase};

/// A private authority, a server that it vouches for and a client that it vouches for.
struct Authority {
    server: Arc<rustls::ServerConfig>,
    strict: Arc<rustls::ServerConfig>,
    files: [PathBuf; 3],
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let issue = |names: &[&str]| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
            (leaf, key)
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = || {
            rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .unwrap()
        };
        let (leaf, key) = issue(&["localhost", "127.0.0.1", "secure.test"]);
        let key = || PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let server =
            builder().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        )
        .build()
        .unwrap();
        let strict = builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![leaf.der().clone()], key())
            .unwrap();
        let (client, client_key) = issue(&["client"]);
        let dir = std::env::temp_dir().join(format!("tracespool-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let files = ["ca.pem", "client.pem", "client.key"].map(|file| dir.join(file));
        for (file, text) in files.iter().zip([ca.pem(), client.pem(), client_key.serialize_pem()]) {
            std::fs::write(file, text).unwrap();
        }
        Self { server: Arc::new(server), strict: Arc::new(strict), files }
    }

    fn file(&self, index: usize) -> &str {
        self.files[index].to_str().unwrap()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.files[0].parent().unwrap());
    }
}

fn tls_server(config: &Arc<rustls::ServerConfig>) -> SocketAddr {
    let config = Arc::clone(config);
    server(move |number, stream| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        answer_all(rustls::StreamOwned::new(connection, stream), |_| ok(&format!("secure {number}")));
    })
}

#[test]
fn a_private_authority_is_trusted_where_it_is_named() {
    let authority = Authority::new("private");
    let address = tls_server(&authority.server);
    for variable in
        ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "OTEL_EXPORTER_OTLP_CERTIFICATE"]
    {
        let net = net(&[(variable, authority.file(0))]);
        let mut driver = Driver::new(Arc::clone(&net));
        for (host, expected) in [("localhost", "secure"), ("127.0.0.1", "secure"), ("localhost", "secure")] {
            let to = endpoint(&format!("https://{host}:{}", address.port()));
            let answer = response(driver.send(post(&to, &[b'x'; 200_000])));
            assert!(answer.body.starts_with(expected.as_bytes()));
        }
        assert_eq!(driver.transport.connections(), 2, "one for each name");
        assert!(net.warnings().is_empty(), "{:?}", net.warnings());
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (authority, other) = (Authority::new("own"), Authority::new("other"));
    let address = tls_server(&authority.server);
    let net_other = net(&[("SSL_CERT_FILE", other.file(0))]);
    let by_name = endpoint(&format!("https://localhost:{}", address.port()));
    let failed = failure(Driver::new(Arc::clone(&net_other)).send(post(&by_name, b"x")));
    assert_eq!((failed.phase, failed.kind), (Phase::Tls, FailureKind::Tls), "{failed:?}");
    // The right authority, another name: a proxy of the test leads "elsewhere.test" to the same server.
    let proxy = proxy(address, None);
    let net =
        net(&[("SSL_CERT_FILE", authority.file(0)), ("https_proxy", &format!("http://{}", proxy.address))]);
    let failed = failure(Driver::new(net).send(post(&endpoint("https://elsewhere.test"), b"x")));
    assert_eq!((failed.phase, failed.kind), (Phase::Tls, FailureKind::Tls), "{failed:?}");
}

#[test]
fn a_client_certificate_is_shown_where_one_is_set() {
    let authority = Authority::new("client");
    let to = endpoint(&format!("https://localhost:{}", tls_server(&authority.strict).port()));
    let refused = failure(Driver::new(net(&[("SSL_CERT_FILE", authority.file(0))])).send(post(&to, b"x")));
    assert_eq!(refused.kind, FailureKind::Tls, "{refused:?}");
    let net = net(&[
        ("SSL_CERT_FILE", authority.file(0)),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", authority.file(1)),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", authority.file(2)),
    ]);
    assert_eq!(response(Driver::new(net).send(post(&to, b"x"))).status, 200);
}

#[test]
fn a_server_that_stops_in_the_handshake_costs_the_deadline() {
    let address = server(|_, mut stream| {
        let _ = stream.read(&mut [0; 1000]);
        thread::sleep(Duration::from_secs(2));
    });
    let net = net(&[]);
    net.tls.load().unwrap();
    let mut driver = Driver::new(net);
    let mut request = post(&endpoint(&format!("https://{address}")), b"x");
    request.deadline = tracespool_core::native::clock::mono() + 300_000_000;
    let began = Instant::now();
    let failed = failure(driver.send(request));
    assert_eq!((failed.phase, failed.kind), (Phase::Tls, FailureKind::Timeout));
    assert!(began.elapsed() < Duration::from_millis(350));
}

/// A proxy that leads everything to one server and remembers what it was asked for.
struct TestProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

fn proxy(target: SocketAddr, authorization: Option<&'static str>) -> TestProxy {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let address = server(move |_, mut client| {
        let mut reader = BufReader::new(client.try_clone().unwrap());
        let Some(seen) = read_head(&mut reader) else {
            return;
        };
        log.lock().unwrap().push(seen.line.clone());
        if seen
            .headers
            .get("proxy-authorization")
            .or(seen.headers.get("Proxy-Authorization"))
            .map(String::as_str)
            != authorization
        {
            client.write_all(b"HTTP/1.1 407 Who Are You\r\ncontent-length: 0\r\n\r\n").unwrap();
            return;
        }
        if !seen.line.starts_with("CONNECT ") {
            assert!(seen.line.starts_with("POST http://"), "{}", seen.line);
            let mut body = vec![0; seen.headers["content-length"].parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            client.write_all(&ok("forwarded")).unwrap();
            return;
        }
        let mut upstream = TcpStream::connect(target).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
        let up = thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
        let _ = std::io::copy(&mut upstream, &mut client);
        let _ = up.join();
    });
    TestProxy { address, asked }
}

#[test]
fn https_goes_through_a_tunnel_with_credentials() {
    let authority = Authority::new("tunnel");
    let target = tls_server(&authority.server);
    let proxy = proxy(target, Some("Basic dXNlcjpwYSBzcw=="));
    let url = |userinfo: &str| format!("http://{userinfo}{}", proxy.address);
    let net_with =
        |userinfo: &str| net(&[("SSL_CERT_FILE", authority.file(0)), ("HTTPS_PROXY", &url(userinfo))]);
    // A name that only the proxy knows: it is never looked up here.
    let to = endpoint("https://secure.test");
    let good = net_with("user:pa%20ss@");
    let mut driver = Driver::new(Arc::clone(&good));
    for _ in 0..2 {
        assert_eq!(response(driver.send(post(&to, &[b'x'; 100_000]))).body, b"secure 0");
    }
    assert_eq!(*proxy.asked.lock().unwrap(), ["CONNECT secure.test:443 HTTP/1.1"], "one tunnel for both");

    let refused = failure(Driver::new(net_with("user:wrong@")).send(post(&to, b"x")));
    assert_eq!(refused.phase, Phase::Proxy);
    assert!(refused.detail.contains("407") && !refused.detail.contains("wrong"), "{refused:?}");
}

#[test]
fn plain_http_is_forwarded_and_no_proxy_goes_straight() {
    let target = server(|_, stream| answer_all(stream, |_| ok("straight")));
    let proxy = proxy(target, None);
    let url = format!("http://{}", proxy.address);
    let to = endpoint(&format!("http://{target}"));
    let mut driver = Driver::new(net(&[("http_proxy", &url)]));
    assert_eq!(response(driver.send(post(&to, b"x"))).body, b"forwarded");
    assert_eq!(*proxy.asked.lock().unwrap(), [format!("POST http://{target}/in HTTP/1.1")]);
    for except in ["*", "127.0.0.0/8", &target.to_string()] {
        let net = net(&[("http_proxy", &url), ("NO_PROXY", except)]);
        assert_eq!(response(Driver::new(Arc::clone(&net)).send(post(&to, b"x"))).body, b"straight");
    }
    assert_eq!(proxy.asked.lock().unwrap().len(), 1);
}

#[test]
fn a_proxy_that_cannot_be_used_refuses_instead_of_going_straight() {
    let target = server(|_, stream| answer_all(stream, |_| ok("straight")));
    let net = net(&[("ALL_PROXY", "socks5://user:hidden@127.0.0.1:1")]);
    assert_eq!(net.warnings().len(), 1);
    let to = endpoint(&format!("http://{target}"));
    let refused = failure(Driver::new(net).send(post(&to, b"x")));
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.detail.contains("socks5") && !refused.detail.contains("hidden"), "{refused:?}");
}
