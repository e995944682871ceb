//! How this process reaches the network: proxies, trusted authorities and its name, read from the environment once.

use super::super::proxy::ProxyRules;
use super::super::tls::Tls;

/// One for the whole process: the export thread's transport and the synchronous control plane share it.
#[derive(Debug)]
pub struct NetConfig {
    /// Which proxy leads where.
    pub proxies: ProxyRules,
    /// Whom to trust, and who we are.
    pub tls: Tls,
    /// The `user-agent` of requests whose endpoint sets none.
    pub user_agent: String,
    warnings: Vec<String>,
}

impl NetConfig {
    /// Reads the settings through `get`, so that a test needs no real environment. A bad value is a warning, never a failure.
    #[must_use]
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut warnings = Vec::new();
        Self {
            proxies: ProxyRules::from_env(get, &mut warnings),
            tls: Tls::from_env(get, &mut warnings),
            user_agent: concat!("tracespool/", env!("CARGO_PKG_VERSION")).to_owned(),
            warnings,
        }
    }

    /// What was wrong with the settings, as far as known: certificates are read at the first https request.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut all = self.warnings.clone();
        match self.tls.ready() {
            Some(Ok(loaded)) => all.extend(loaded.warnings.iter().cloned()),
            Some(Err(reason)) => all.push(reason.to_owned()),
            None => {}
        }
        all
    }
}
