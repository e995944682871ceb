//! The control plane of synchronous callers: one request on the caller's own thread, with a total deadline.
//!
//! The first fetch of a prompt and the check of credentials happen here, where there may be no export thread yet. It trusts,
//! goes through and names itself exactly as the transport does; a redirect or an error status is an ordinary answer. Callers
//! with an event loop never come here: their requests go through the exporter.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::time::{Duration as TimeLeft, Instant as Moment};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    TcpConnector, Transport, TransportAdapter,
};
use ureq::{Agent, Error, Proxy, ProxyProtocol, Timeout};

use super::http::{NetConfig, response_headers};
use super::proxy::Route;
use crate::endpoint::Endpoint;
use crate::transport::{Failure, FailureKind, Outcome, Phase, Response};

/// Body bytes kept; a prompt is far smaller.
const MAX_BODY: u64 = 8 * 1024 * 1024;

/// Fetches `path` below the endpoint's base URL, with its headers. Returns within `timeout`, whatever the server does.
#[must_use]
pub fn get(net: &NetConfig, endpoint: &Endpoint, path: &str, timeout: Duration) -> Outcome {
    call(net, endpoint, path, None, timeout)
}

/// Sends `body` to `path` below the endpoint's base URL, with its headers. Returns within `timeout` too.
#[must_use]
pub fn post(
    net: &NetConfig,
    endpoint: &Endpoint,
    path: &str,
    (content_type, body): (&str, &[u8]),
    timeout: Duration,
) -> Outcome {
    call(net, endpoint, path, Some((content_type, body)), timeout)
}

fn call(
    net: &NetConfig,
    endpoint: &Endpoint,
    path: &str,
    body: Option<(&str, &[u8])>,
    timeout: Duration,
) -> Outcome {
    let began = Instant::now();
    let fail = |phase, kind, what: &dyn fmt::Display| {
        Outcome::Failed(Failure { phase, kind, detail: format!("{}: {what}", endpoint.url.authority()) })
    };
    let proxy = match net.proxies.route(&endpoint.url) {
        Route::Direct => None,
        Route::Refused(reason) => return fail(Phase::Resolve, FailureKind::Invalid, &reason),
        Route::Via(proxy) => {
            let builder = Proxy::builder(ProxyProtocol::Http).host(&proxy.host).port(proxy.port);
            let builder = match proxy.credentials() {
                Some((user, password)) => builder.username(user).password(password),
                None => builder,
            };
            match builder.build() {
                Ok(proxy) => Some(proxy),
                Err(_) => {
                    return fail(Phase::Proxy, FailureKind::Invalid, &"the proxy's address cannot be used");
                }
            }
        }
    };
    let tls = match endpoint.url.tls.then(|| net.tls.load()) {
        None => None,
        Some(Ok(loaded)) => Some(Arc::clone(&loaded.config)),
        Some(Err(reason)) => return fail(Phase::Tls, FailureKind::Tls, &reason),
    };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .user_agent(net.user_agent.as_str())
        .timeout_global(Some(timeout.saturating_sub(began.elapsed()).max(Duration::from_millis(1))))
        .build();
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(SharedTls { config: tls });
    let agent = Agent::with_parts(config, connector, DefaultResolver::default());
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = format!("{}{slash}{path}", endpoint.url);
    let headers = endpoint.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let answer = match body {
        None => headers.fold(agent.get(url), |request, (name, value)| request.header(name, value)).call(),
        Some((content_type, body)) => headers
            .fold(agent.post(url), |request, (name, value)| request.header(name, value))
            .header("content-type", content_type)
            .send(body),
    };
    let answer = answer.and_then(|answer| {
        let (head, body) = answer.into_parts();
        let (content_type, retry_after) = response_headers(&head.headers);
        let mut response =
            Response { status: head.status.as_u16(), retry_after, content_type, ..Response::default() };
        body.into_with_config().limit(u64::MAX).reader().take(MAX_BODY).read_to_end(&mut response.body)?;
        Ok(response)
    });
    match answer {
        Ok(response) => Outcome::Response(response),
        Err(error) => {
            let (phase, kind) = classify(&error);
            fail(phase, kind, &error)
        }
    }
}

/// Where a request had come, and what stopped it.
fn classify(error: &Error) -> (Phase, FailureKind) {
    match error {
        Error::Timeout(Timeout::Resolve) => (Phase::Resolve, FailureKind::Timeout),
        Error::Timeout(Timeout::Connect) => (Phase::Connect, FailureKind::Timeout),
        Error::Timeout(_) => (Phase::Receive, FailureKind::Timeout),
        Error::HostNotFound => (Phase::Resolve, FailureKind::Network),
        Error::ConnectionFailed => (Phase::Connect, FailureKind::Network),
        Error::ConnectProxyFailed(_) => (Phase::Proxy, FailureKind::Network),
        Error::BadUri(_) | Error::Http(_) | Error::InvalidProxyUrl => (Phase::Resolve, FailureKind::Invalid),
        Error::Tls(_) | Error::Rustls(_) => (Phase::Tls, FailureKind::Tls),
        Error::Protocol(_) | Error::LargeResponseHeader(..) | Error::Decompress(..) => {
            (Phase::Receive, FailureKind::Protocol)
        }
        Error::Io(error) => classify_io(error),
        _ => (Phase::Receive, FailureKind::Network),
    }
}

fn classify_io(error: &io::Error) -> (Phase, FailureKind) {
    if let Some(inner) = error.get_ref() {
        if inner.is::<rustls::Error>() || inner.source().is_some_and(|source| source.is::<rustls::Error>()) {
            return (Phase::Tls, FailureKind::Tls);
        }
        if let Some(inner) = inner.downcast_ref::<Error>() {
            return classify(inner);
        }
    }
    match error.kind() {
        io::ErrorKind::TimedOut => (Phase::Receive, FailureKind::Timeout),
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => (Phase::Connect, FailureKind::Network),
        _ => (Phase::Receive, FailureKind::Network),
    }
}

/// TLS with the process's own configuration. `ureq`'s connector would build another one per agent, and could not combine
/// Mozilla's roots with added ones.
struct SharedTls {
    config: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for SharedTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedTls")
    }
}

impl<In: Transport> Connector<In> for SharedTls {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else {
            return Err(Error::ConnectionFailed);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let Some(config) = &self.config else {
            return Err(Error::Tls("no TLS configuration"));
        };
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| Error::Tls("the host is no name for TLS"))?;
        let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(Error::Rustls)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        // The timeout counts from before the connection was made.
        let mut timeout = details.timeout;
        if let (TimeLeft::Exact(left), Moment::Exact(begun), Moment::Exact(now)) =
            (timeout.after, details.now, (details.current_time)())
        {
            timeout.after = TimeLeft::Exact(left.saturating_sub(now.saturating_duration_since(begun)));
        }
        socket.set_timeout(timeout);
        connection.complete_io(&mut socket)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned::new(connection, socket) })))
    }
}

struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(self.buffers.output().get(..amount).unwrap_or_default())?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::endpoint::BaseUrl;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        address
    }

    fn head(reader: &mut impl BufRead) -> Vec<String> {
        let lines = reader.lines().map(Result::unwrap).take_while(|line| !line.is_empty());
        lines.map(|line| line.to_ascii_lowercase()).collect()
    }

    fn answer(stream: impl Read + Write, text: &str) {
        let mut reader = BufReader::new(stream);
        head(&mut reader);
        reader.get_mut().write_all(text.as_bytes()).unwrap();
        reader.get_mut().flush().unwrap();
    }

    fn net(vars: &[(&str, &str)]) -> NetConfig {
        let get =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        NetConfig::from_env(&get)
    }

    fn endpoint(base: &str) -> Endpoint {
        let headers = vec![("authorization".to_owned(), "Basic c2VjcmV0".to_owned())];
        Endpoint::new(BaseUrl::parse(base).unwrap(), headers)
    }

    #[track_caller]
    fn failure(outcome: Outcome) -> Failure {
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        failure
    }

    #[track_caller]
    fn response(outcome: Outcome) -> Response {
        let Outcome::Response(response) = outcome else { panic!("{outcome:?}") };
        response
    }

    #[test]
    fn every_status_is_an_answer_and_no_redirect_is_followed() {
        let address = server(|stream| {
            let mut reader = BufReader::new(stream);
            let head = head(&mut reader);
            assert!(head.contains(&"authorization: basic c2vjcmv0".to_owned()), "{head:?}");
            assert!(head.iter().any(|line| line.starts_with("user-agent: tracespool/")), "{head:?}");
            let status = head[0].trim_start_matches("get /base/").split(' ').next().unwrap();
            let location = if status == "302" { "location: /base/200\r\n" } else { "" };
            let text = format!(
                "HTTP/1.1 {status} X\r\n{location}retry-after: 9\r\ncontent-type: Application/JSON; x=y\r\n\
                 content-length: 2\r\n\r\n{{}}"
            );
            reader.get_mut().write_all(text.as_bytes()).unwrap();
        });
        let to = endpoint(&format!("http://{address}/base"));
        for status in [200, 302, 404, 429, 503] {
            let answer = response(get(&net(&[]), &to, &format!("/{status}"), PATIENCE));
            assert_eq!((answer.status, answer.content_type.as_str()), (status, "application/json"));
            assert_eq!(answer.body, b"{}");
            assert_eq!(answer.retry_after, Some(Duration::from_secs(9)));
        }
    }

    #[test]
    fn a_server_that_drips_cannot_extend_the_deadline() {
        let address = server(|mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").unwrap();
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let began = Instant::now();
        let to = endpoint(&format!("http://{address}"));
        let failed = failure(get(&net(&[]), &to, "/", Duration::from_millis(300)));
        assert_eq!(failed.kind, FailureKind::Timeout, "{failed:?}");
        assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    }

    #[test]
    fn a_refused_connection_and_a_useless_proxy_are_failures() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let to = endpoint(&format!("http://127.0.0.1:{port}"));
        let refused = failure(get(&net(&[]), &to, "/", PATIENCE));
        assert_eq!((refused.phase, refused.kind), (Phase::Connect, FailureKind::Network));
        let socks = net(&[("ALL_PROXY", "socks5://user:hidden@127.0.0.1:1")]);
        let refused = failure(get(&socks, &to, "/", PATIENCE));
        assert_eq!(refused.kind, FailureKind::Invalid);
        assert!(!refused.detail.contains("hidden"), "{refused:?}");
    }

    #[test]
    fn a_tunnel_is_asked_for_with_credentials_that_no_message_shows() {
        let target = server(|stream| answer(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
        let proxy = server(move |mut client| {
            let head = head(&mut BufReader::new(client.try_clone().unwrap()));
            assert_eq!(head[0], "connect only-the-proxy-knows.test:80 http/1.1");
            if !head.contains(&"proxy-authorization: basic dxnlcjpwyxnz".to_owned()) {
                client.write_all(b"HTTP/1.1 407 Who Are You\r\ncontent-length: 0\r\n\r\n").unwrap();
                return;
            }
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let mut upstream = TcpStream::connect(target).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut from, &mut to));
            let _ = io::copy(&mut upstream, &mut client);
        });
        let to = endpoint("http://only-the-proxy-knows.test");
        let good = net(&[("http_proxy", &format!("http://user:pass@{proxy}"))]);
        assert_eq!(response(get(&good, &to, "/", PATIENCE)).body, b"ok");
        let refused =
            failure(get(&net(&[("http_proxy", &format!("http://user:wrong@{proxy}"))]), &to, "/", PATIENCE));
        assert_eq!(refused.phase, Phase::Proxy, "{refused:?}");
        assert!(!refused.detail.contains("wrong"), "{refused:?}");
        let around = net(&[("http_proxy", "http://127.0.0.1:1"), ("no_proxy", "127.0.0.0/8")]);
        assert_eq!(response(get(&around, &endpoint(&format!("http://{target}")), "/", PATIENCE)).status, 200);
    }

    #[test]
    fn it_trusts_whom_the_transport_trusts() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let config = Arc::new(config);
        let address = server(move |stream| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            if stream.conn.complete_io(&mut stream.sock).is_ok() {
                answer(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        });
        let file = std::env::temp_dir().join(format!("tracespool-control-{}.pem", std::process::id()));
        std::fs::write(&file, ca).unwrap();
        let to = endpoint(&format!("https://localhost:{}", address.port()));
        let trusting = net(&[("NODE_EXTRA_CA_CERTS", file.to_str().unwrap())]);
        assert_eq!(response(get(&trusting, &to, "/", PATIENCE)).body, b"ok");
        let refused = failure(get(&net(&[]), &to, "/", PATIENCE));
        assert_eq!((refused.phase, refused.kind), (Phase::Tls, FailureKind::Tls), "{refused:?}");
        std::fs::remove_file(file).unwrap();
    }
}
