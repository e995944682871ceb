//! What the cache holds clients by: base URL, public key, secret and extra headers, hashed; for other OTLP backends than
//! Langfuse the endpoint, its headers and what goes around the spans. Keys that differ only in the
//! secret or the host are different destinations; the hash never shows the secret.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::endpoint::BaseUrl;
use crate::id::Hex;

/// Identifies a destination.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestinationKey([u8; 16]);

impl DestinationKey {
    /// Hashes everything that makes a destination different from another.
    #[must_use]
    pub fn new(url: &BaseUrl, public_key: &str, secret_key: &str, headers: &[(String, String)]) -> Self {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(&[u8::from(url.tls)]);
        part(url.host.as_bytes());
        part(&url.port.to_le_bytes());
        part(url.path.as_bytes());
        part(public_key.as_bytes());
        part(secret_key.as_bytes());
        for (name, value) in headers {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }

    /// The same for an OTLP backend, which has no keys. `path` is the endpoint's, `parts` are what else tells two clients
    /// apart.
    #[must_use]
    pub fn of_otlp(url: &BaseUrl, path: &str, parts: [&str; 3], headers: &[(String, String)]) -> Self {
        // No Langfuse key holds a line feed: these never meet those.
        Self::new(url, &format!("otlp\n{path}"), &parts.join("\n"), headers)
    }

    /// The digits of [`DestinationKey::short`].
    pub(crate) fn short_hex(self) -> Hex<16> {
        Hex::new(&self.short().to_be_bytes())
    }

    /// The first 64 bits: what a span context remembers of the destination that it belongs to.
    #[must_use]
    pub fn short(self) -> u64 {
        let mut short = [0; 8];
        short.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(short)
    }
}

impl fmt::Debug for DestinationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DestinationKey({:016x})", self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_parts_do_not_run_together() {
        let url = BaseUrl::parse("http://h").unwrap();
        let key = |public: &str, secret: &str| DestinationKey::new(&url, public, secret, &[]);
        assert_eq!(key("pk", "sk"), key("pk", "sk"));
        assert_ne!(key("pk", "sk"), key("pk", "sk2"));
        assert_ne!(key("ab", "c"), key("a", "bc"));
        let other = BaseUrl::parse("http://h:81").unwrap();
        assert_ne!(key("pk", "sk"), DestinationKey::new(&other, "pk", "sk", &[]));
        assert_ne!(key("pk", "sk"), DestinationKey::new(&url, "pk", "sk", &[("x".into(), "y".into())]));
    }
}
