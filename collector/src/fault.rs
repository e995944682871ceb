//! Misbehaviour on purpose: what a sender must survive, switchable while the collector runs.
//!
//! Except for `delay`, `close-idle` and the accepted part of `207`, a request that meets a fault stores nothing. All
//! faults let the request be read to its end first, so that a sender learns as late as possible. They apply to
//! `/api/public/` and `/storage/` only; the page and `/api/v1` always work (`refuse` closes the listener under them too: give it a
//! time, or use `--control`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::answer::{Problem, json_answer, text_answer};
use crate::server::App;
use crate::wire::{Control, Manner};
use crate::{auth, otlp};

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Hang,
    Drip,
    Reset,
    Refuse(Option<Duration>),
    Status500,
    Status503,
    Status429(u64),
    Status401,
    Status413(usize),
    Status207(usize),
    Redirect,
    Truncate,
    CloseIdle(Duration),
    Delay(Duration),
}

/// A way to misbehave, and towards whom.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    spec: String,
    kind: Kind,
    path: Option<String>,
    key: Option<String>,
    left: Option<u64>,
    hits: u64,
}

impl Fault {
    /// Reads `NAME[:ARG][@path=PREFIX][@key=PUBLIC][@count=N]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('@');
        let spec = parts.next().unwrap_or_default();
        let (kind, left) = kind(spec)?;
        let mut fault = Self { spec: spec.into(), kind, path: None, key: None, left, hits: 0 };
        for part in parts {
            match part.split_once('=') {
                Some(("path", value)) => fault.path = Some(value.into()),
                Some(("key", value)) => fault.key = Some(value.into()),
                Some(("count", value)) => {
                    fault.left = Some(value.parse().map_err(|_| "count is not a number")?)
                }
                _ => return Err(format!("{part:?} is none of path=, key=, count=")),
            }
        }
        Ok(fault)
    }

    /// Reads `{"fault": "NAME[:ARG]", "path"?, "key"?, "count"?}`.
    fn from_json(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("a fault is an object")?;
        if let Some(unknown) =
            object.keys().find(|key| !matches!(key.as_str(), "fault" | "path" | "key" | "count"))
        {
            return Err(format!("{unknown:?} is none of fault, path, key, count"));
        }
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut fault = Self::parse(&text("fault").ok_or("fault is missing")?)?;
        fault.path = text("path").or(fault.path);
        fault.key = text("key").or(fault.key);
        fault.left = object.get("count").and_then(Value::as_u64).or(fault.left);
        Ok(fault)
    }

    fn to_json(&self) -> Value {
        json!({"fault": self.spec, "path": self.path, "key": self.key, "left": self.left, "hits": self.hits})
    }

    fn aims_at(&self, path: &str, key: Option<&str>) -> bool {
        self.left != Some(0)
            && self.path.as_deref().is_none_or(|prefix| path.starts_with(prefix))
            && self.key.as_deref().is_none_or(|wanted| key == Some(wanted))
    }
}

fn kind(spec: &str) -> Result<(Kind, Option<u64>), String> {
    let (name, argument) =
        spec.split_once(':').map_or((spec, None), |(name, argument)| (name, Some(argument)));
    let number = argument
        .map(str::parse::<u64>)
        .transpose()
        .map_err(|_| format!("{name}: {argument:?} is no number"))?;
    let needed = || number.ok_or_else(|| format!("{name} needs a number: {name}:N"));
    let size = || needed().map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    let kind = match name {
        "hang" => Kind::Hang,
        "drip" => Kind::Drip,
        "reset" => Kind::Reset,
        "refuse" => Kind::Refuse(number.map(Duration::from_millis)),
        "500" => Kind::Status500,
        "503" => return Ok((Kind::Status503, number)),
        "429" => Kind::Status429(number.unwrap_or(1)),
        "401" => Kind::Status401,
        "413" => Kind::Status413(size()?),
        "207" => Kind::Status207(size()?),
        "301" => Kind::Redirect,
        "truncate" => Kind::Truncate,
        "close-idle" => Kind::CloseIdle(Duration::from_millis(needed()?)),
        "delay" => Kind::Delay(Duration::from_millis(needed()?)),
        other => return Err(format!("unknown fault {other:?}")),
    };
    Ok((kind, None))
}

/// All faults of the process.
pub(crate) struct Faults {
    list: Mutex<Vec<Fault>>,
    /// Whether the listener should be closed; the accept loop watches it.
    refusing: watch::Sender<Option<Refusing>>,
}

/// A closed listener, and until when, if that is known.
pub(crate) type Refusing = Option<Instant>;

impl Faults {
    pub(crate) fn new(list: Vec<Fault>) -> Self {
        let faults = Self { list: Mutex::default(), refusing: watch::Sender::new(None) };
        faults.replace(list);
        faults
    }

    /// For the accept loop.
    pub(crate) fn watch_refusing(&self) -> watch::Receiver<Option<Refusing>> {
        self.refusing.subscribe()
    }

    /// The listener's time of refusal is over.
    pub(crate) fn accept_again(&self) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|fault| !matches!(fault.kind, Kind::Refuse(_)));
        self.refusing.send_replace(None);
    }

    fn replace(&self, new: Vec<Fault>) {
        let refusing = new.iter().find_map(|fault| match fault.kind {
            Kind::Refuse(time) => Some(time.map(|time| Instant::now() + time)),
            _ => None,
        });
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = new;
        self.refusing.send_replace(refusing);
    }

    fn extend(&self, more: Vec<Fault>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner).clone();
        list.extend(more);
        self.replace(list);
    }

    fn to_json(&self) -> Value {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Fault::to_json).collect()
    }

    /// The faults that a request meets, in order, up to the first that answers it.
    fn meet(&self, path: &str, key: Option<&str>, bytes: usize) -> Vec<Kind> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let mut met = Vec::new();
        for fault in list.iter_mut().filter(|fault| fault.aims_at(path, key)) {
            match fault.kind {
                Kind::Status413(limit) if bytes <= limit => continue,
                Kind::Status207(_) if path != "/api/public/scores" => continue,
                Kind::Refuse(_) => continue,
                _ => {}
            }
            fault.hits += 1;
            fault.left = fault.left.map(|left| left.saturating_sub(1));
            met.push(fault.kind);
            if !matches!(fault.kind, Kind::CloseIdle(_) | Kind::Delay(_) | Kind::Status207(_)) {
                break;
            }
        }
        met
    }
}

/// Set on a request to `/api/public/scores`: so many items are refused.
#[derive(Clone, Copy)]
pub(crate) struct RejectFirst(pub(crate) usize);

/// Reads the body of every request to the public API within its limit, then applies the faults.
pub(crate) async fn interpose(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if !path.starts_with("/api/public/") && !path.starts_with("/storage/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let limit = body_limit(&path, &app);
    let bytes = match Limited::new(body, limit).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return oversized(&path, limit),
        Err(_) => return Problem::Text(StatusCode::BAD_REQUEST, "Body ended early".into()).into_response(),
    };
    let key = auth::named_public_key(&parts.headers);
    let control = parts.extensions.get::<Arc<Control>>().cloned();
    let mut delay = Duration::ZERO;
    for kind in app.faults.meet(&path, key.as_deref(), bytes.len()) {
        match (kind, &control) {
            (Kind::Delay(time), _) => delay += time,
            (Kind::CloseIdle(limit), Some(control)) => control.close_when_idle(limit),
            (Kind::Status207(count), _) => {
                parts.extensions.insert(RejectFirst(count));
            }
            (kind, Some(control)) => return answer(kind, control, &parts.headers).await,
            (_, None) => {}
        }
    }
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    response
}

fn body_limit(path: &str, app: &App) -> usize {
    match path {
        "/api/public/otel/v1/traces" | "/api/public/otel/v1/metrics" => app.max_body,
        "/api/public/ingestion" => 4 * 1024 * 1024 + 512 * 1024,
        _ if path.starts_with("/storage/") => app.max_media,
        _ => 1024 * 1024,
    }
}

fn oversized(path: &str, limit: usize) -> Response {
    match path {
        "/api/public/otel/v1/traces" => otlp::too_large(limit),
        "/api/public/ingestion" => text_answer(StatusCode::PAYLOAD_TOO_LARGE, "Body exceeded 4.5mb limit"),
        _ if path.starts_with("/storage/") => text_answer(
            StatusCode::BAD_REQUEST,
            "<Error><Code>EntityTooLarge</Code><Message>The upload exceeds the maximum size</Message></Error>",
        ),
        _ => text_answer(StatusCode::PAYLOAD_TOO_LARGE, "Body exceeded 1mb limit"),
    }
}

async fn answer(kind: Kind, control: &Control, headers: &HeaderMap) -> Response {
    match kind {
        Kind::Hang => std::future::pending().await,
        Kind::Drip => control.behave(Manner::Drip),
        Kind::Reset => control.behave(Manner::Reset),
        Kind::Truncate => control.behave(Manner::Truncate),
        Kind::Status500 => {
            let body = json!({"message": "Internal Server Error", "error": "asked for by a fault"});
            return json_answer(StatusCode::INTERNAL_SERVER_ERROR, &body);
        }
        Kind::Status503 => {
            return json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"message": "Service Unavailable"}));
        }
        Kind::Status429(seconds) => return rate_limited(seconds),
        Kind::Status401 => {
            let text = "Invalid credentials. Confirm that you've configured the correct host.";
            return Problem::Message(StatusCode::UNAUTHORIZED, text).into_response();
        }
        Kind::Status413(limit) => return otlp::too_large(limit),
        Kind::Redirect => {
            let mut response = text_answer(StatusCode::MOVED_PERMANENTLY, "Moved Permanently");
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
            let place = HeaderValue::from_str(&format!("http://{host}/elsewhere"));
            response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
            return response;
        }
        Kind::Refuse(_) | Kind::Status207(_) | Kind::CloseIdle(_) | Kind::Delay(_) => {}
    }
    json_answer(StatusCode::OK, &json!({"id": "stored-nothing", "name": "otel-ingestion-job"}))
}

fn rate_limited(seconds: u64) -> Response {
    let reset =
        crate::instant::to_text(crate::instant::now().saturating_add_unsigned(seconds * 1_000_000_000));
    let details = json!({"retryAfterSeconds": seconds, "limit": 1000, "remaining": 0, "resetAt": reset});
    let body = json!({"message": "Rate limit exceeded", "code": "rate_limited", "details": details});
    let mut response = json_answer(StatusCode::TOO_MANY_REQUESTS, &body);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    headers.insert("x-ratelimit-limit", HeaderValue::from(1000));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(0));
    response
}

/// `GET /api/v1/faults`
pub(crate) async fn list(State(app): State<Arc<App>>) -> Response {
    json_answer(StatusCode::OK, &app.faults.to_json())
}

/// `PUT /api/v1/faults`: this list and no other.
pub(crate) async fn put(State(app): State<Arc<App>>, body: bytes::Bytes) -> Result<Response, Problem> {
    app.faults.replace(read_list(&body)?);
    Ok(json_answer(StatusCode::OK, &app.faults.to_json()))
}

/// `POST /api/v1/faults`: these as well.
pub(crate) async fn post(State(app): State<Arc<App>>, body: bytes::Bytes) -> Result<Response, Problem> {
    app.faults.extend(read_list(&body)?);
    Ok(json_answer(StatusCode::OK, &app.faults.to_json()))
}

/// `DELETE /api/v1/faults`
pub(crate) async fn delete(State(app): State<Arc<App>>) -> Response {
    app.faults.replace(Vec::new());
    json_answer(StatusCode::OK, &app.faults.to_json())
}

fn read_list(body: &[u8]) -> Result<Vec<Fault>, Problem> {
    let value: Value = serde_json::from_slice(body).map_err(|error| Problem::invalid(error.to_string()))?;
    let items = match value {
        Value::Array(items) => items,
        single => vec![single],
    };
    items.iter().map(Fault::from_json).collect::<Result<_, _>>().map_err(Problem::invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_specs() {
        let fault = Fault::parse("503:2@path=/api/public/scores@key=pk-x").unwrap();
        assert_eq!((fault.kind, fault.left), (Kind::Status503, Some(2)));
        assert!(fault.aims_at("/api/public/scores", Some("pk-x")));
        assert!(!fault.aims_at("/api/public/scores", Some("pk-y")));
        assert!(!fault.aims_at("/api/public/otel/v1/traces", Some("pk-x")));
        for wrong in ["", "hung", "413", "delay:x", "hang@who=me"] {
            assert!(Fault::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_counted_fault_wears_off() {
        let faults = Faults::new(vec![Fault::parse("503:1").unwrap()]);
        assert_eq!(faults.meet("/api/public/health", None, 0), [Kind::Status503]);
        assert_eq!(faults.meet("/api/public/health", None, 0), []);
    }
}
