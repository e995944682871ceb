//! The process's one TLS configuration: which authorities are trusted, and who this process is.
//!
//! Trusted are the system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` replace them), plus those in `REQUESTS_CA_BUNDLE`,
//! `NODE_EXTRA_CA_CERTS` and `OTEL_EXPORTER_OTLP_CERTIFICATE`; Mozilla's list serves only where the system has none. A
//! client certificate comes from `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` and `..._CLIENT_KEY`. Loading takes some 20 ms of
//! file reading, so it happens once, at the first https request, and never on the export thread itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// TLS sessions remembered for resumption, one per server name: as many as there may be destinations.
const SESSIONS: usize = 1024;

/// Files that add trusted authorities.
const EXTRA_ROOTS: [&str; 3] =
    ["REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
const CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// Where certificates are, and, once loaded, what they are.
pub struct Tls {
    system_file: Option<PathBuf>,
    system_dirs: Vec<PathBuf>,
    extra: Vec<(&'static str, PathBuf)>,
    identity: Option<(PathBuf, PathBuf)>,
    loaded: OnceLock<Result<Loaded, String>>,
}

/// What the files held.
pub struct Loaded {
    /// For the transport and, through its own connector, for the control plane.
    pub config: Arc<ClientConfig>,
    /// Files that could not be used.
    pub warnings: Vec<String>,
}

impl Tls {
    /// Notes the files that the variables name; reads none.
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>, warnings: &mut Vec<String>) -> Self {
        let path = |name: &str| get(name).filter(|value| !value.trim().is_empty()).map(PathBuf::from);
        let identity = match (path(CLIENT_CERTIFICATE), path(CLIENT_KEY)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                warnings.push(format!(
                    "{CLIENT_CERTIFICATE} and {CLIENT_KEY} must both be set; no client certificate is used"
                ));
                None
            }
        };
        Self {
            system_file: path("SSL_CERT_FILE"),
            system_dirs: get("SSL_CERT_DIR")
                .map(|dirs| std::env::split_paths(&dirs).filter(|dir| !dir.as_os_str().is_empty()).collect())
                .unwrap_or_default(),
            extra: EXTRA_ROOTS.into_iter().filter_map(|name| Some((name, path(name)?))).collect(),
            identity,
            loaded: OnceLock::new(),
        }
    }

    /// The configuration, if it has been loaded. Never blocks.
    pub fn ready(&self) -> Option<Result<&Loaded, &str>> {
        self.loaded.get().map(|loaded| loaded.as_ref().map_err(String::as_str))
    }

    /// The configuration, loaded now if need be: reads files.
    ///
    /// # Errors
    ///
    /// Says why no TLS connection can be made at all.
    pub fn load(&self) -> Result<&Loaded, &str> {
        self.loaded.get_or_init(|| self.read()).as_ref().map_err(String::as_str)
    }

    fn read(&self) -> Result<Loaded, String> {
        let mut warnings = Vec::new();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.system_roots(&mut warnings));
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for (name, path) in &self.extra {
            match read_certificates(path) {
                Ok(certificates) => {
                    roots.add_parsable_certificates(certificates);
                }
                Err(reason) => warnings.push(format!("{name}: {}: {reason}; it is not used", path.display())),
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("no TLS version is usable: {error}"))?
            .with_root_certificates(roots);
        let mut config = match self.identity() {
            None => builder.with_no_client_auth(),
            Some(Err(reason)) => {
                warnings.push(format!("{reason}; no client certificate is used"));
                builder.with_no_client_auth()
            }
            Some(Ok((chain, key))) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("the client certificate and its key do not fit: {error}"))?,
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Loaded { config: Arc::new(config), warnings })
    }

    fn system_roots(&self, warnings: &mut Vec<String>) -> Vec<CertificateDer<'static>> {
        if self.system_file.is_none() && self.system_dirs.is_empty() {
            return rustls_native_certs::load_native_certs().certs;
        }
        let mut certificates = Vec::new();
        let sources = self.system_file.iter().map(|file| (Some(file.as_path()), None));
        for (file, dir) in sources.chain(self.system_dirs.iter().map(|dir| (None, Some(dir.as_path())))) {
            let found = rustls_native_certs::load_certs_from_paths(file, dir);
            if found.certs.is_empty() {
                let path = file.or(dir).unwrap_or_else(|| Path::new("")).display();
                warnings.push(format!("SSL_CERT_FILE or SSL_CERT_DIR: no certificate found in {path}"));
            }
            certificates.extend(found.certs);
        }
        certificates
    }

    fn identity(&self) -> Option<Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String>> {
        let (certificate, key) = self.identity.as_ref()?;
        let chain = read_certificates(certificate)
            .map_err(|reason| format!("{CLIENT_CERTIFICATE}: {}: {reason}", certificate.display()));
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| format!("{CLIENT_KEY}: {}: {error}", key.display()));
        Some(chain.and_then(|chain| Ok((chain, key?))))
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|e| e.to_string())?.collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err("it holds no certificate".into()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(error.to_string()),
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("extra", &self.extra)
            .field("loaded", &self.loaded.get().is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_warned_of_and_passed_over() {
        let mut warnings = Vec::new();
        let get = |name: &str| match name {
            "SSL_CERT_FILE" | "NODE_EXTRA_CA_CERTS" => Some("/nonexistent/ca.pem".to_owned()),
            CLIENT_KEY => Some("/nonexistent/key.pem".to_owned()),
            _ => None,
        };
        let tls = Tls::from_env(&get, &mut warnings);
        assert_eq!(warnings.len(), 1);
        assert!(tls.ready().is_none());
        let loaded = tls.load().unwrap();
        assert_eq!(loaded.warnings.len(), 2, "{:?}", loaded.warnings);
        assert!(tls.ready().is_some());
    }
}
