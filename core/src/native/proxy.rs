//! Which proxy, if any, stands between this process and an origin.
//!
//! Read from the variables that curl reads: `https_proxy`, `http_proxy` (lower case only: in CGI the upper-case name is
//! under the client's control), `all_proxy` and `no_proxy`. A proxy that is set but cannot be used refuses the request with
//! a reason; it is never silently passed by, because it may be there to keep traffic inside. Credentials of a proxy show up
//! in no message and in no `Debug`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::endpoint::{BaseUrl, basic_auth};

/// A plain HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    user: Option<(String, String)>,
    authorization: Option<String>,
}

impl Proxy {
    /// Parses `http://[user:password@]host[:port]`; the scheme may be missing.
    ///
    /// # Errors
    ///
    /// Says what cannot be used, without repeating the URL, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if !scheme.eq_ignore_ascii_case("http") {
            let known = ["https", "socks4", "socks4a", "socks5", "socks5h"]
                .iter()
                .find(|s| scheme.eq_ignore_ascii_case(s));
            let scheme = known.map_or_else(|| "such".to_owned(), |known| format!("{known}://"));
            return Err(format!("{scheme} proxies are not supported, use an http:// proxy"));
        }
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (userinfo, authority) =
            rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
        let url = BaseUrl::parse(&format!("http://{authority}"))
            .map_err(|_| "it names no usable host and port".to_owned())?;
        let user = userinfo.map(|userinfo| {
            let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            (percent_decode(user), percent_decode(password))
        });
        let authorization = user.as_ref().map(|(user, password)| basic_auth(user, password));
        Ok(Self { host: url.host, port: url.port, user, authorization })
    }

    /// The value of `proxy-authorization`, where the URL held credentials.
    #[must_use]
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// User name and password, where the URL held them.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.user.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Proxy({}:{}{})",
            self.host,
            self.port,
            if self.user.is_some() { ", with credentials" } else { "" }
        )
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(value) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(value);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// How a request gets to its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Straight there.
    Direct,
    /// Through a proxy: a tunnel for TLS, forwarding for plain HTTP.
    Via(&'a Proxy),
    /// A proxy is demanded that cannot be used; says why.
    Refused(&'a str),
}

type Setting = Option<Result<Arc<Proxy>, String>>;

/// The proxies of the process and the hosts that are reached without them.
#[derive(Clone, Debug, Default)]
pub struct ProxyRules {
    http: Setting,
    https: Setting,
    bypass: Vec<Bypass>,
}

impl ProxyRules {
    /// Reads the variables; what cannot be used is also added to `warnings`.
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>, warnings: &mut Vec<String>) -> Self {
        let mut setting = |names: &[&str]| -> Setting {
            let (name, value) = names.iter().find_map(|name| {
                let value = get(name)?;
                (!value.trim().is_empty()).then_some((*name, value))
            })?;
            Some(Proxy::parse(&value).map(Arc::new).map_err(|reason| {
                let reason = format!("{name}: {reason}");
                if !warnings.contains(&reason) {
                    warnings.push(reason.clone());
                }
                reason
            }))
        };
        Self {
            http: setting(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            https: setting(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            bypass: get("no_proxy")
                .or_else(|| get("NO_PROXY"))
                .map(|list| Bypass::parse_list(&list))
                .unwrap_or_default(),
        }
    }

    /// The way to an origin.
    #[must_use]
    pub fn route(&self, url: &BaseUrl) -> Route<'_> {
        let Some(setting) = (if url.tls { &self.https } else { &self.http }) else {
            return Route::Direct;
        };
        if self.bypass.iter().any(|bypass| bypass.matches(&url.host, url.port)) {
            return Route::Direct;
        }
        match setting {
            Ok(proxy) => Route::Via(proxy),
            Err(reason) => Route::Refused(reason),
        }
    }
}

/// One entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bypass {
    Everything,
    /// The domain and everything below it, on one port or any.
    Domain(String, Option<u16>),
    Network(IpAddr, u8, Option<u16>),
}

impl Bypass {
    fn parse_list(list: &str) -> Vec<Self> {
        list.split([',', ' ', '\t', '\n'])
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(Self::parse)
            .collect()
    }

    fn parse(entry: &str) -> Self {
        if entry == "*" {
            return Self::Everything;
        }
        if let Some((address, bits)) = entry.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse())
        {
            return Self::Network(address, bits, None);
        }
        if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Self::Network(address, 128, None);
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (entry, None),
        };
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Self::Network(address, 128, port);
        }
        Self::Domain(host.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase(), port)
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        match self {
            Self::Everything => true,
            Self::Domain(domain, only) => {
                let below = host
                    .strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && !domain.is_empty() && only.is_none_or(|only| only == port)
            }
            Self::Network(network, bits, only) => {
                let inside = host.parse().is_ok_and(|address| contains(*network, *bits, address));
                inside && only.is_none_or(|only| only == port)
            }
        }
    }
}

fn contains(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let ignored = width - u32::from(bits).min(width);
    (network ^ address).checked_shr(ignored).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(vars: &[(&str, &str)]) -> (ProxyRules, Vec<String>) {
        let mut warnings = Vec::new();
        let get =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        (ProxyRules::from_env(&get, &mut warnings), warnings)
    }

    fn direct(rules: &ProxyRules, url: &str) -> bool {
        rules.route(&BaseUrl::parse(url).unwrap()) == Route::Direct
    }

    #[test]
    fn the_scheme_chooses_the_proxy() {
        let (rules, warnings) = rules(&[
            ("HTTPS_PROXY", "http://u%40x:p@secure:1"),
            ("http_proxy", "plain:2"),
            ("HTTP_PROXY", "evil:3"),
        ]);
        assert!(warnings.is_empty());
        let Route::Via(proxy) = rules.route(&BaseUrl::parse("https://h").unwrap()) else { panic!() };
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.credentials()), ("secure", 1, Some(("u@x", "p"))));
        assert_eq!(format!("{proxy:?}"), "Proxy(secure:1, with credentials)");
        let Route::Via(proxy) = rules.route(&BaseUrl::parse("http://h").unwrap()) else { panic!() };
        assert_eq!((proxy.host.as_str(), proxy.port), ("plain", 2));
    }

    #[test]
    fn the_upper_case_http_proxy_is_not_read() {
        assert!(direct(&rules(&[("HTTP_PROXY", "http://evil:3")]).0, "http://h"));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_never_passed_by() {
        let (rules, warnings) = rules(&[("ALL_PROXY", "socks5h://user:secret@h:1080")]);
        let Route::Refused(reason) = rules.route(&BaseUrl::parse("https://h").unwrap()) else { panic!() };
        assert!(reason.contains("socks5h://") && !reason.contains("secret"), "{reason}");
        assert_eq!(warnings.len(), 1);
        assert!(matches!(rules.route(&BaseUrl::parse("http://h").unwrap()), Route::Refused(_)));
    }

    #[test]
    fn no_proxy_matches_domains_ports_addresses_and_networks() {
        let list = "example.com, .internal,*.corp:8443 10.0.0.0/8,[::1]:3000,192.168.1.7,fd00::/8";
        let (rules, _) = rules(&[("http_proxy", "p:1"), ("https_proxy", "p:1"), ("NO_PROXY", list)]);
        for url in [
            "http://example.com",
            "https://a.example.com",
            "http://x.internal",
            "https://a.corp:8443",
            "http://10.2.3.4:9",
            "http://[::1]:3000",
            "http://192.168.1.7",
            "http://[fd12::1]",
        ] {
            assert!(direct(&rules, url), "{url}");
        }
        for url in [
            "http://notexample.com",
            "https://a.corp",
            "http://11.0.0.1",
            "http://[::1]",
            "http://192.168.1.8",
        ] {
            assert!(!direct(&rules, url), "{url}");
        }
        let (rules, _) = self::rules(&[("http_proxy", "p:1"), ("no_proxy", "*")]);
        assert!(direct(&rules, "http://anything"));
    }
}
