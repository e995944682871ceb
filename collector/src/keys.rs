//! Who may send, and into which project.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::config::KeyPair;

const FILE: &str = "keys.json";

/// The key pairs of a run. Secrets are held as digests only; the file in the data directory keeps the text.
pub(crate) struct Keys {
    known: HashMap<String, Vec<Known>>,
    any: bool,
    /// Projects that came into being through `--any-key`, in order of appearance.
    met: Mutex<HashMap<String, ()>>,
}

struct Known {
    digest: [u8; 32],
    project: String,
}

impl Keys {
    /// Loads the pairs of the data directory and adds the given ones. On the very first start, when no other way
    /// of authenticating was asked for, one pair is made; it is returned to be shown once.
    pub(crate) fn open(data: &Path, given: &[KeyPair], any: bool) -> Result<(Self, Option<KeyPair>), String> {
        let path = data.join(FILE);
        let mut made = None;
        let mut pairs = Vec::new();
        if path.exists() {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{FILE}: {error}"))?;
            pairs = read(&text).ok_or_else(|| format!("{FILE} is not what this program wrote"))?;
        } else if given.is_empty() && !any {
            let pair = KeyPair {
                public: format!("pk-lf-{}", random_hex()?),
                secret: format!("sk-lf-{}", random_hex()?),
                project: "default".into(),
            };
            write(&path, &pair).map_err(|error| format!("{FILE}: {error}"))?;
            made = Some(pair.clone());
            pairs.push(pair);
        }
        pairs.extend_from_slice(given);
        let mut known: HashMap<String, Vec<Known>> = HashMap::new();
        for pair in pairs {
            let digest = Sha256::digest(pair.secret.as_bytes()).into();
            known.entry(pair.public).or_default().push(Known { digest, project: pair.project });
        }
        Ok((Self { known, any, met: Mutex::new(HashMap::new()) }, made))
    }

    /// The project of a pair. Both halves must fit: the real server looks at the secret alone, but a sender that
    /// mixes up two tenants' keys should be caught here.
    pub(crate) fn project(&self, public: &str, secret: &str) -> Option<String> {
        if let Some(candidates) = self.known.get(public) {
            let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
            let fit = candidates.iter().find(|known| same(&known.digest, &digest));
            if let Some(known) = fit {
                return Some(known.project.clone());
            }
        }
        if self.any && !public.is_empty() && !secret.is_empty() {
            self.meet(public);
            return Some(public.into());
        }
        None
    }

    /// The project of a public key alone, which is enough to create scores.
    pub(crate) fn project_of_public(&self, public: &str) -> Option<String> {
        if let Some(known) = self.known.get(public).and_then(|candidates| candidates.first()) {
            return Some(known.project.clone());
        }
        (self.any && !public.is_empty()).then(|| public.to_owned())
    }

    /// All projects that exist by key, stored data or not.
    pub(crate) fn projects(&self) -> Vec<String> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = met.keys().cloned().collect();
        names.extend(self.known.values().flatten().map(|known| known.project.clone()));
        names.sort();
        names.dedup();
        names
    }

    fn meet(&self, public: &str) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if !met.contains_key(public) {
            met.insert(public.into(), ());
        }
    }
}

/// Compares without telling by its duration where the difference is.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}

/// 32 hex digits of randomness.
pub(crate) fn random_hex() -> Result<String, String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
    Ok(crate::attributes::hex(&bytes))
}

fn read(text: &str) -> Option<Vec<KeyPair>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let field = |entry: &Value, name: &str| entry.get(name)?.as_str().map(str::to_owned);
    value
        .get("keys")?
        .as_array()?
        .iter()
        .map(|entry| {
            Some(KeyPair {
                public: field(entry, "public")?,
                secret: field(entry, "secret")?,
                project: field(entry, "project")?,
            })
        })
        .collect()
}

fn write(path: &Path, pair: &KeyPair) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let body = json!({"keys": [{"public": pair.public, "secret": pair.secret, "project": pair.project}]});
    options.open(path)?.write_all(format!("{body:#}\n").as_bytes())
}
