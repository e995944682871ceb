//! Where a destination's requests go: the parsed base URL and the headers that every request carries.

use std::fmt;
use std::sync::Arc;

use crate::json::shown;
use crate::number::Digits;

/// A parsed `http(s)://host[:port][/path]`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// True for `https`.
    pub tls: bool,
    /// Host name or address, lower case, without brackets.
    pub host: String,
    /// Port, the scheme's own where the URL names none.
    pub port: u16,
    /// Path without a trailing slash; empty for the root.
    pub path: String,
}

/// What no host's name holds.
const UNUSABLE: [char; 9] = ['"', '<', '>', '\\', '^', '`', '{', '|', '}'];

impl BaseUrl {
    /// Parses a base URL.
    ///
    /// # Errors
    ///
    /// A sentence that names what is wrong and how to mend it; it never repeats credentials that stood in the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_for(text, "base_url", "public_key and secret_key")
    }

    /// The same, of an argument called `name`, beside which credentials go into `credentials`.
    ///
    /// # Errors
    ///
    /// As [`BaseUrl::parse`].
    pub fn parse_for(text: &str, name: &str, credentials: &str) -> Result<Self, String> {
        let text = text.trim();
        let (tls, rest) =
            match text.split_once(':').and_then(|(scheme, rest)| Some((scheme, rest.strip_prefix("//")?))) {
                Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
                Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
                _ => return Err([name, " must start with http:// or https://"].concat()),
            };
        // Anywhere: a secret may hold a slash.
        if rest.contains('@') {
            return Err([name, " must not hold credentials; pass ", credentials, " instead"].concat());
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if tail.contains(['?', '#']) {
            return Err([name, " must not hold a query or a fragment"].concat());
        }
        let (host, port) = split_port(authority).map_err(|problem| [name, problem].concat())?;
        if host.is_empty()
            || host.chars().any(|c| c.is_whitespace() || c.is_control() || UNUSABLE.contains(&c))
        {
            return Err([name, " names no usable host"].concat());
        }
        if tail.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err([name, "'s path holds white space"].concat());
        }
        let port = match port {
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port != 0 => port,
                _ => {
                    return Err([name, "'s port is not a number from 1 to 65535"].concat());
                }
            },
        };
        Ok(Self { tls, host: host.to_ascii_lowercase(), port, path: tail.trim_end_matches('/').to_owned() })
    }

    /// As it would be passed, without a trailing slash.
    #[must_use]
    pub fn text(&self) -> String {
        [self.scheme(), "://", &self.authority(), &self.path].concat()
    }

    /// `https` or `http`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// `host:port` as it stands in a `Host` header: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let (before, after) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let own = self.port == if self.tls { 443 } else { 80 };
        let port = Digits::of(self.port.into());
        let (colon, port) = if own { ("", "") } else { (":", port.as_str()) };
        [before, &self.host, after, colon, port].concat()
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((host, after)) = rest.split_once(']') else {
            return Err("'s IPv6 address has no closing bracket");
        };
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(" has text after its IPv6 address"),
        };
    }
    Ok(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A base URL with the headers of every authorised request. Its `Debug` shows header names only: values may be secrets.
#[derive(Clone)]
pub struct Endpoint {
    /// Where to.
    pub url: BaseUrl,
    /// `scheme://host:port`: what the origin's breaker, its slots and the connection pool are keyed by.
    pub origin: Arc<str>,
    /// Lower-case names with checked values: no CR, LF or NUL.
    pub headers: Vec<(String, String)>,
}

impl Endpoint {
    /// Puts an endpoint together; see [`check_header`] for what makes a header acceptable.
    #[must_use]
    pub fn new(url: BaseUrl, headers: Vec<(String, String)>) -> Self {
        let port = Digits::of(url.port.into());
        let origin: Arc<str> = [url.scheme(), "://", &url.host, ":", port.as_str()].concat().into();
        Self { url, origin, headers }
    }

    /// Whether requests carry a bearer instead of both keys: a public key alone, with which pages may score.
    #[must_use]
    pub fn has_bearer(&self) -> bool {
        self.headers.iter().any(|(name, value)| name == "authorization" && value.starts_with("Bearer "))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Endpoint").field("url", &self.url).field("headers", &names).finish()
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `Basic` credentials; the scheme word is case-sensitive on the server.
#[must_use]
pub fn basic_auth(user: &str, password: &str) -> String {
    let mut out = String::from("Basic ");
    for chunk in [user, ":", password].concat().as_bytes().chunks(3) {
        let bits = [0, 1, 2]
            .into_iter()
            .fold(0, |bits, at| (bits << 8) | chunk.get(at).copied().unwrap_or(0) as usize);
        for place in 0..4 {
            let digit = if place > chunk.len() { b'=' } else { BASE64[(bits >> (18 - 6 * place)) & 63] };
            out.push(char::from(digit));
        }
    }
    out
}

/// Refuses what could split or smuggle a header (RFC 9110, section 5.5).
///
/// # Errors
///
/// Names the header; never its value, which may be a secret.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(["header name ", &shown(name), " holds a character that HTTP does not allow"].concat());
    }
    if value.bytes().any(|b| b == b'\r' || b == b'\n' || b == 0 || (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err(
            ["the value of header ", &shown(name), " holds a control character (CR, LF or NUL)"].concat()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart() {
        let url = BaseUrl::parse("https://Cloud.Langfuse.com/").unwrap();
        assert_eq!(
            (url.tls, url.host.as_str(), url.port, url.path.as_str()),
            (true, "cloud.langfuse.com", 443, "")
        );
        let url = BaseUrl::parse("http://[::1]:3000/a/b/").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 3000, "/a/b"));
        assert_eq!(url.to_string(), "http://[::1]:3000/a/b");
        assert_eq!(url.authority(), "[::1]:3000");
    }

    #[test]
    fn a_bad_base_url_is_refused_without_its_credentials() {
        for bad in [
            "",
            "cloud.langfuse.com",
            "ftp://x",
            "http://",
            "http://a b",
            "http://h:0",
            "http://h:99999",
            "http://[::1",
        ] {
            assert!(BaseUrl::parse(bad).is_err(), "{bad}");
        }
        for text in ["http://pk:sk-secret@host", "http://pk:sk-secret", "http://pk:sk/secret@host"] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert!(!error.contains("sk-secret") && !error.contains("sk/secret"), "{error}");
        }
    }

    #[test]
    fn headers_that_could_split_a_request_are_refused() {
        assert!(check_header("x-a", "fine").is_ok());
        assert!(check_header("x a", "v").is_err());
        let error = check_header("x-a", "secret\r\nevil: 1").unwrap_err();
        assert!(error.contains("x-a") && !error.contains("secret"));
    }

    #[test]
    fn debug_shows_no_header_value() {
        let endpoint = Endpoint::new(
            BaseUrl::parse("http://h").unwrap(),
            vec![("authorization".into(), basic_auth("pk", "sk-lf-1"))],
        );
        assert!(!format!("{endpoint:?}").contains("Basic"));
    }
}
