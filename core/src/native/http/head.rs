//! Request heads, written straight into the buffer that goes to the socket.
//!
//! `ureq-proto` could write these, but not in the absolute form that a proxy for plain HTTP wants, and it takes a header map
//! per request, which it may also show to a logger: credentials must never pass there. Its part is reading answers.

use crate::endpoint::Endpoint;
use crate::native::proxy::Proxy;
use crate::transport::{Method, Request};

/// Headers that frame a message or describe the body: ours to set, whatever the endpoint's list says.
const OURS: [&str; 9] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "te",
    "expect",
];

/// Writes the head of a request whose body has `length` bytes on the wire.
///
/// `proxy` is the one that forwards plain HTTP; a tunnel is none.
pub(super) fn write_request(
    out: &mut Vec<u8>,
    request: &Request,
    length: usize,
    gzip: bool,
    user_agent: &str,
    proxy: Option<&Proxy>,
) -> Result<(), String> {
    let endpoint = &*request.endpoint;
    check_path(&endpoint.url.path)?;
    check_path(&request.path)?;
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    if proxy.is_some() {
        out.extend_from_slice(b"http://");
        write_authority(out, endpoint);
    }
    out.extend_from_slice(endpoint.url.path.as_bytes());
    if !request.path.starts_with('/') {
        out.push(b'/');
    }
    out.extend_from_slice(request.path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    write_authority(out, endpoint);
    out.extend_from_slice(b"\r\naccept-encoding: gzip\r\n");
    let own_agent = request.authorized && endpoint.headers.iter().any(|(name, _)| name == "user-agent");
    if !own_agent {
        write_header(out, "user-agent", user_agent)?;
    }
    if let Some(proxy) = proxy {
        write_proxy_auth(out, proxy);
    }
    let bodiless = matches!(request.method, Method::Get | Method::Delete);
    if !bodiless || length > 0 {
        if let Some(content_type) = request.content_type {
            write_header(out, "content-type", content_type)?;
        }
        if gzip {
            out.extend_from_slice(b"content-encoding: gzip\r\n");
        }
        out.extend_from_slice(b"content-length: ");
        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if request.authorized {
        for (name, value) in &endpoint.headers {
            let outvoted = request.headers.iter().any(|(other, _)| other == name);
            if !outvoted && !OURS.contains(&name.as_str()) {
                write_header(out, name, value)?;
            }
        }
    }
    for (name, value) in request.headers.iter() {
        let own_type = name == "content-type" && request.content_type.is_none();
        if own_type || !OURS.contains(&name.as_str()) {
            write_header(out, name, value)?;
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Writes the request that asks a proxy for a tunnel to the endpoint.
pub(super) fn write_connect(out: &mut Vec<u8>, endpoint: &Endpoint, user_agent: &str, proxy: &Proxy) {
    let target = target(endpoint);
    out.extend_from_slice(b"CONNECT ");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b"\r\nuser-agent: ");
    out.extend_from_slice(user_agent.as_bytes());
    out.extend_from_slice(b"\r\n");
    write_proxy_auth(out, proxy);
    out.extend_from_slice(b"\r\n");
}

fn target(endpoint: &Endpoint) -> String {
    let url = &endpoint.url;
    if url.host.contains(':') {
        format!("[{}]:{}", url.host, url.port)
    } else {
        format!("{}:{}", url.host, url.port)
    }
}

fn write_proxy_auth(out: &mut Vec<u8>, proxy: &Proxy) {
    if let Some(auth) = proxy.authorization() {
        out.extend_from_slice(b"proxy-authorization: ");
        out.extend_from_slice(auth.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn write_authority(out: &mut Vec<u8>, endpoint: &Endpoint) {
    let url = &endpoint.url;
    if url.host.contains(':') {
        out.push(b'[');
        out.extend_from_slice(url.host.as_bytes());
        out.push(b']');
    } else {
        out.extend_from_slice(url.host.as_bytes());
    }
    if url.port != if url.tls { 443 } else { 80 } {
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(url.port).as_bytes());
    }
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), String> {
    // The endpoint's maker has checked these already; a second look is cheap where the price of an error is a smuggled request.
    let bad_name = name.is_empty() || name.bytes().any(|b| b <= b' ' || b == b':' || b >= 0x7f);
    if bad_name || value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
        return Err(format!("header {name:?} holds a character that HTTP does not allow"));
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn check_path(path: &str) -> Result<(), String> {
    if path.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#') {
        return Err("the request's path holds white space, a control character or '#'".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::endpoint::BaseUrl;
    use crate::transport::Payload;

    fn request(base: &str, headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request {
            endpoint: Arc::new(Endpoint::new(BaseUrl::parse(base).unwrap(), headers)),
            method: Method::Post,
            path: "/v1/traces?a=1".into(),
            content_type: Some("application/json"),
            authorized: true,
            payload: Payload::default(),
            headers: Arc::new([]),
            gzip: true,
            deadline: 0,
            max_response: 0,
            keep_headers: &[],
            repeatable: true,
        }
    }

    fn text(request: &Request, proxy: Option<&Proxy>) -> String {
        let mut out = Vec::new();
        write_request(&mut out, request, 7, true, "tracespool/1", proxy).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_head_carries_what_the_server_needs() {
        let request =
            request("http://[::1]:3000/base", &[("authorization", "Basic eA=="), ("content-length", "9")]);
        assert_eq!(
            text(&request, None),
            "POST /base/v1/traces?a=1 HTTP/1.1\r\nhost: [::1]:3000\r\naccept-encoding: gzip\r\nuser-agent: tracespool/1\r\n\
             content-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 7\r\nauthorization: Basic eA==\r\n\r\n"
        );
    }

    #[test]
    fn a_proxy_gets_the_absolute_form() {
        let proxy = Proxy::parse("http://user:pass@proxy:3128").unwrap();
        let head = text(&request("http://host/base", &[]), Some(&proxy));
        assert!(head.starts_with("POST http://host/base/v1/traces?a=1 HTTP/1.1\r\nhost: host\r\n"), "{head}");
        assert!(head.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
    }

    #[test]
    fn credentials_stay_away_from_a_probe() {
        let mut probe = request("http://host", &[("authorization", "Basic eA==")]);
        probe.authorized = false;
        probe.method = Method::Get;
        assert!(!text(&probe, None).contains("Basic"));
    }

    #[test]
    fn a_request_has_headers_of_its_own_and_may_be_a_put() {
        let mut put = request("http://host", &[("x-a", "endpoint"), ("x-b", "endpoint")]);
        put.method = Method::Put;
        put.content_type = None;
        let own = [("x-a", "own"), ("content-type", "image/png"), ("content-length", "9")];
        put.headers = own.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let head = text(&put, None);
        assert!(head.starts_with("PUT /v1/traces?a=1 HTTP/1.1\r\n"), "{head}");
        assert!(
            head.ends_with(
                "content-length: 7\r\nx-b: endpoint\r\nx-a: own\r\ncontent-type: image/png\r\n\r\n"
            ),
            "{head}"
        );
        put.headers = [("x-a".to_owned(), "1\r\nevil: 2".to_owned())].into();
        assert!(write_request(&mut Vec::new(), &put, 0, false, "a", None).is_err());
    }

    #[test]
    fn nothing_smuggles() {
        let bad = request("http://host", &[("x-a", "1\r\nevil: 2")]);
        let error = write_request(&mut Vec::new(), &bad, 0, false, "a", None).unwrap_err();
        assert!(error.contains("x-a") && !error.contains("evil"));
        let mut bad = request("http://host", &[]);
        bad.path = "/a b".into();
        assert!(write_request(&mut Vec::new(), &bad, 0, false, "a", None).is_err());
    }
}
