//! The part of the host that moves bytes: requests go out with numbers and text, outcomes come back.

use std::cell::RefCell;

use tracespool_core::number::{self, Digits};
use tracespool_core::pipeline::Action;
use tracespool_core::retry_after;
use tracespool_core::transport::{
    Failure, FailureKind, Method, Outcome, Payload, Phase, Request, Response, Slot,
};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{host, texts};

thread_local! {
    static BODY: RefCell<Payload> = RefCell::default();
}

/// Headers that the host's `fetch` sets, and refuses or duplicates where they are given.
const HOSTS_OWN: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "te", "expect", "accept-encoding"];

/// Says what time it is, in milliseconds: the monotonic clock, and since 1970.
#[wasm_bindgen]
pub fn tell(mono: f64, unix: f64) {
    host::tell(mono, unix);
}

/// Takes 32 random bytes from the arguments.
#[wasm_bindgen]
pub fn seed(length: u32) {
    texts::bytes(&[length], |parts| host::seed(parts.first().copied().flatten().unwrap_or_default()));
}

/// Whether a turn is wanted earlier than the last one said.
#[wasm_bindgen]
#[must_use]
pub fn rang() -> bool {
    host::driver(|driver| driver.rang())
}

/// Looks at everything whose time has come. When the next turn is due, in milliseconds of the monotonic clock.
#[wasm_bindgen]
#[must_use]
pub fn turn() -> f64 {
    host::moment(host::driver(|driver| driver.turn()))
}

/// Requests under way, whoever began them.
#[wasm_bindgen(js_name = inFlight)]
#[must_use]
pub fn in_flight() -> u32 {
    u32::try_from(host::driver(|driver| driver.in_flight())).unwrap_or(u32::MAX)
}

/// Whether nothing waits and nothing is under way.
#[wasm_bindgen(js_name = isIdle)]
#[must_use]
pub fn is_idle() -> bool {
    host::driver(|driver| driver.is_idle())
}

/// What to do next: a slot whose request is to be begun and is left as text, minus a slot that is to be forgotten, or 0.
///
/// The text: method, URL, whether it may be compressed (`1`), deadline (milliseconds of the monotonic clock), bytes of the
/// answer that are kept, names of headers that are wanted, then names and values of headers, a line each.
#[wasm_bindgen(js_name = nextAction)]
#[must_use]
#[allow(clippy::cast_precision_loss)] // slots are counted from 1
pub fn next_action() -> f64 {
    loop {
        match host::driver(|driver| driver.poll_action()) {
            Some(Action::Send { slot, request }) => {
                texts::give(Some(head(&request)));
                BODY.set(request.payload);
                return slot.0 as f64;
            }
            Some(Action::Cancel { slot }) => return -(slot.0 as f64),
            Some(Action::DiscardIdle) => {}
            None => return 0.0,
        }
    }
}

/// A part of the body of the request that was handed out last: its length, -1 after the last one.
#[wasm_bindgen(js_name = pieceLength)]
#[must_use]
pub fn piece_length(at: u32) -> i32 {
    BODY.with_borrow(|body| {
        body.chunks().get(at as usize).map_or(-1, |piece| i32::try_from(piece.len()).unwrap_or(-1))
    })
}

/// Where that part begins.
#[wasm_bindgen]
#[must_use]
pub fn piece(at: u32) -> *const u8 {
    BODY.with_borrow(|body| body.chunks().get(at as usize).map_or(std::ptr::null(), |piece| piece.as_ptr()))
}

/// The body has been read.
#[wasm_bindgen]
pub fn forget() {
    BODY.set(Payload::default());
}

/// A complete answer: its content type, `Retry-After`, the headers that were wanted (name and value, a line each) and body.
#[wasm_bindgen]
pub fn outcome(slot: f64, status: u32, content_type: u32, retry_after: u32, headers: u32, body: u32) {
    let response = texts::bytes(&[content_type, retry_after, headers, body], |parts| {
        let bytes = |at: usize| parts.get(at).copied().flatten().unwrap_or_default();
        let text = |at| std::str::from_utf8(bytes(at)).unwrap_or_default();
        let mut lines = text(2).split('\n');
        let mut kept = Vec::new();
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            kept.push((name.to_owned(), value.to_owned()));
        }
        let essence = text(0).split(';').next().unwrap_or_default().trim();
        Response {
            status: u16::try_from(status).unwrap_or_default(),
            retry_after: retry_after::parse(text(1), host::home().now().unix),
            content_type: essence.to_ascii_lowercase(),
            headers: kept,
            body: bytes(3).to_vec(),
        }
    });
    finish(slot, &Outcome::Response(response));
}

/// No complete answer: `late` where the deadline passed.
#[wasm_bindgen]
pub fn failed(slot: f64, late: bool, detail: u32) {
    let detail = texts::with([detail], |[detail]| detail.unwrap_or_default().to_owned());
    let kind = if late { FailureKind::Timeout } else { FailureKind::Network };
    // The host does not say how far it came: the server may have acted on it.
    finish(slot, &Outcome::Failed(Failure { phase: Phase::Receive, kind, detail }));
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // one that was handed out
fn finish(slot: f64, outcome: &Outcome) {
    host::driver(|driver| driver.finish(Slot(slot as u64), outcome));
}

pub(crate) fn head(request: &Request) -> String {
    let endpoint = &*request.endpoint;
    let slash = if request.path.starts_with('/') { "" } else { "/" };
    let url = [&endpoint.url.text(), slash, &request.path].concat();
    let (deadline, most) =
        (number::text(host::moment(request.deadline)), Digits::of(request.max_response as u64));
    let gzip = if request.gzip { "1" } else { "0" };
    let wanted = request.keep_headers.join(",");
    let mut text = [request.method.as_str(), &url, gzip, &deadline, most.as_str(), &wanted].join("\n");
    let mut header = |name: &str, value: &str| {
        if !HOSTS_OWN.contains(&name) && !value.contains('\n') {
            for part in ["\n", name, "\n", value] {
                text.push_str(part);
            }
        }
    };
    let bodiless = matches!(request.method, Method::Get | Method::Delete) && request.payload.is_empty();
    if let Some(content_type) = request.content_type.filter(|_| !bodiless) {
        header("content-type", content_type);
    }
    if request.authorized {
        for (name, value) in &endpoint.headers {
            let ours = name == "content-type" || name == "content-encoding";
            let outvoted = request.headers.iter().any(|(other, _)| other == name);
            if !ours && !outvoted {
                header(name, value);
            }
        }
    }
    for (name, value) in request.headers.iter() {
        let own_type = name == "content-type" && request.content_type.is_none();
        if own_type || (name != "content-type" && name != "content-encoding") {
            header(name, value);
        }
    }
    text
}
