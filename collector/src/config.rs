//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::fault::Fault;

/// The server version that is played unless `--server-version` says otherwise.
const PLAYED_VERSION: &str = "4.60.0";
/// As the server's `LANGFUSE_OTEL_INGESTION_MAX_BODY_BYTES`.
const MAX_BODY: usize = 512 * 1024 * 1024;
/// The server's own limit is a gigabyte; these are rows of a local database.
const MAX_MEDIA: usize = 32 * 1024 * 1024;

const HELP: &str = "tracespool-collector: a local, Langfuse-shaped trace receiver with a web page

usage: tracespool-collector --data DIR [options]

  --data DIR                    where the database and keys.json live (made if missing)
  --listen ADDR                 address of the receiver and its page [127.0.0.1:3300]; port 0 takes a free one
  --control ADDR                a second address for the page and /api/v1 only; faults never touch it
  --key PUBLIC:SECRET[:PROJECT] accept this pair (repeatable); the project's name is PUBLIC unless given
  --any-key                     accept every pair; each public key is a project of its own
  --token TOKEN                 the page and /api/v1 need it; required when --listen is not loopback
  --server-version VERSION      the Langfuse version to play [4.60.0]; below 4.59 score arrays are refused
  --max-body BYTES              limit of a trace request, encoded and decoded [536870912]
  --max-media BYTES             limit of one media content [33554432]
  --storage-url URL             base of the storage addresses that are handed out [this receiver's own]
  --durability off|normal|full  SQLite's synchronous setting [normal]: what survives a power cut
  --tls-cert PEM --tls-key PEM  serve https
  --fault SPEC                  misbehave: NAME[:ARG][@path=PREFIX][@key=PUBLIC][@count=N] (repeatable), with NAME
                                hang drip reset refuse 500 503 429 401 413 207 301 truncate close-idle delay
  --version, --help";

/// What the caller of the program wants.
pub(crate) enum Asked {
    Run(Box<Config>),
    Say(String),
}

/// How much SQLite waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    Off,
    Normal,
    Full,
}

/// A pair given by `--key`.
#[derive(Clone)]
pub(crate) struct KeyPair {
    pub(crate) public: String,
    pub(crate) secret: String,
    pub(crate) project: String,
}

/// The settings of one run.
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) control: Option<SocketAddr>,
    pub(crate) keys: Vec<KeyPair>,
    pub(crate) any_key: bool,
    pub(crate) token: Option<String>,
    pub(crate) server_version: String,
    pub(crate) max_body: usize,
    pub(crate) max_media: usize,
    pub(crate) storage_url: Option<String>,
    pub(crate) durability: Durability,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) faults: Vec<Fault>,
}

impl Config {
    /// Reads the arguments. A refusal never repeats a secret or a token.
    pub(crate) fn from_args(args: impl Iterator<Item = std::ffi::OsString>) -> Result<Asked, String> {
        use lexopt::prelude::{Long, Short};
        let mut parser = lexopt::Parser::from_args(args);
        let mut data = None;
        let mut tls_cert = None;
        let mut tls_key = None;
        let mut config = Self {
            data: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 3300)),
            control: None,
            keys: Vec::new(),
            any_key: false,
            token: None,
            server_version: PLAYED_VERSION.into(),
            max_body: MAX_BODY,
            max_media: MAX_MEDIA,
            storage_url: None,
            durability: Durability::Normal,
            tls: None,
            faults: Vec::new(),
        };
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            match argument {
                Long("data") => {
                    data = Some(PathBuf::from(parser.value().map_err(|error| error.to_string())?))
                }
                Long("listen") => config.listen = address("--listen", &text(&mut parser)?)?,
                Long("control") => config.control = Some(address("--control", &text(&mut parser)?)?),
                Long("key") => config.keys.push(key_pair(&text(&mut parser)?)?),
                Long("any-key") => config.any_key = true,
                Long("token") => config.token = Some(text(&mut parser)?),
                Long("server-version") => config.server_version = text(&mut parser)?,
                Long("max-body") => {
                    config.max_body = text(&mut parser)?
                        .parse()
                        .map_err(|_| "--max-body: not a number of bytes".to_owned())?;
                }
                Long("max-media") => {
                    config.max_media = text(&mut parser)?
                        .parse()
                        .map_err(|_| "--max-media: not a number of bytes".to_owned())?;
                }
                Long("storage-url") => config.storage_url = Some(text(&mut parser)?),
                Long("durability") => {
                    config.durability = match text(&mut parser)?.as_str() {
                        "off" => Durability::Off,
                        "normal" => Durability::Normal,
                        "full" => Durability::Full,
                        other => return Err(format!("--durability: {other:?} is none of off, normal, full")),
                    }
                }
                Long("tls-cert") => tls_cert = Some(PathBuf::from(text(&mut parser)?)),
                Long("tls-key") => tls_key = Some(PathBuf::from(text(&mut parser)?)),
                Long("fault") => {
                    let spec = text(&mut parser)?;
                    config
                        .faults
                        .push(Fault::parse(&spec).map_err(|error| format!("--fault {spec}: {error}"))?);
                }
                Long("help") | Short('h') => return Ok(Asked::Say(HELP.into())),
                Long("version") | Short('V') => {
                    return Ok(Asked::Say(
                        concat!("tracespool-collector ", env!("CARGO_PKG_VERSION")).into(),
                    ));
                }
                other => return Err(other.unexpected().to_string()),
            }
        }
        config.data = data.ok_or("--data DIR is missing (see --help)")?;
        config.tls = match (tls_cert, tls_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err("--tls-cert and --tls-key belong together".into()),
        };
        if config.token.as_deref() == Some("") {
            return Err("--token: an empty token protects nothing".into());
        }
        let open =
            std::iter::once(config.listen).chain(config.control).find(|address| !address.ip().is_loopback());
        if let (Some(address), None) = (open, &config.token) {
            return Err(format!(
                "{address} can be reached from other machines and the page shows everything that is traced: \
                 listen on 127.0.0.1 or give --token TOKEN"
            ));
        }
        Ok(Asked::Run(Box::new(config)))
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    use lexopt::prelude::ValueExt as _;
    parser.value().and_then(|value| value.string()).map_err(|error| error.to_string())
}

fn address(flag: &str, text: &str) -> Result<SocketAddr, String> {
    let text =
        text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| format!("{flag}: {text:?} is not an address such as 127.0.0.1:3300"))
}

fn key_pair(text: &str) -> Result<KeyPair, String> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(public), Some(secret), project) if !public.is_empty() && !secret.is_empty() => Ok(KeyPair {
            public: public.into(),
            secret: secret.into(),
            project: project.filter(|name| !name.is_empty()).unwrap_or(public).into(),
        }),
        _ => Err("--key: expected PUBLIC:SECRET or PUBLIC:SECRET:PROJECT".into()),
    }
}
