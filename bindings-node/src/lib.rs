//! The core for Node: conversions only. Numbers and texts come in, numbers and texts go out; `ts/backend.ts` says what
//! each function means.
//!
//! There is one core and one export thread for the whole process, whichever of Node's threads load this module; what a
//! thread holds of it (handles and tickets) is its own. Nothing here calls back into JavaScript.

pub mod environment;
pub mod exit;
pub mod text;

use std::cell::RefCell;

use napi::bindgen_prelude::{Either, Uint8ArraySlice};
use napi_derive::napi;
use tracespool_core::interchange::session::{Content, Session};
use tracespool_core::native;

use text::Text;

thread_local! {
    // Borrowed for the length of one function below, none of which reaches the interpreter.
    static SESSION: RefCell<Session> =
        const { RefCell::new(Session::new(native::current, |options, _| native::open(options))) };
}

/// Runs `work` on this thread's session; the default where the thread is ending.
fn session<T: Default>(work: impl FnOnce(&mut Session) -> T) -> T {
    SESSION
        .try_with(|session| {
            session.try_borrow_mut().map(|mut session| work(&mut session)).unwrap_or_default()
        })
        .unwrap_or_default()
}

/// This package's version.
#[napi]
#[must_use]
pub fn version() -> String {
    tracespool_core::VERSION.to_owned()
}

/// A handle on a client.
#[napi(catch_unwind)]
#[must_use]
pub fn open(options: String) -> u32 {
    session(|session| session.open(&options))
}

/// What a handle came to be.
#[napi(catch_unwind)]
#[must_use]
pub fn settings(handle: u32) -> String {
    session(|session| session.settings(handle))
}

/// New handles on what the cache holds.
#[napi(catch_unwind)]
#[must_use]
pub fn find(public_key: Option<String>) -> Vec<u32> {
    session(|session| session.find(public_key.as_deref()))
}

/// Gives a handle back.
#[napi(catch_unwind)]
pub fn release(handle: u32) {
    session(|session| session.release(handle));
}

/// Whether a trace is kept.
#[napi(catch_unwind)]
#[must_use]
pub fn keeps(handle: u32, trace_id: String) -> bool {
    session(|session| session.keeps(handle, &trace_id))
}

/// Hands an ended observation over; false where there is no room for another trace.
#[napi(catch_unwind)]
#[must_use]
#[allow(clippy::needless_pass_by_value)] // what napi hands over
pub fn end(handle: u32, start: f64, end: f64, record: Text) -> bool {
    session(|session| session.end(handle, start, end, record.as_str()))
}

/// Whether a trace that begins now will find room.
#[napi(catch_unwind)]
#[must_use]
pub fn has_room(handle: u32) -> bool {
    session(|session| session.has_room(handle))
}

/// Counts observations of traces for which there was no room.
#[napi(catch_unwind)]
pub fn refused(handle: u32, count: u32) {
    session(|session| session.refused(handle, count));
}

/// Hands an ended span of other instrumentation over.
#[napi(catch_unwind)]
pub fn span(handle: u32, envelope: String, propagated: String, span: String) {
    session(|session| session.span(handle, &envelope, &propagated, span));
}

/// Counts observations that were given up.
#[napi(catch_unwind)]
pub fn never_ended(handle: u32, count: u32) {
    session(|session| session.never_ended(handle, count));
}

/// Counts content that a mask failed on.
#[napi(catch_unwind)]
pub fn mask_failed(handle: u32) {
    session(|session| session.mask_failed(handle));
}

/// Hands a score over.
#[napi(catch_unwind)]
#[must_use]
pub fn score(handle: u32, score: String) -> Option<String> {
    session(|session| session.score(handle, &score))
}

/// Takes a content out of a value.
#[napi(catch_unwind)]
#[must_use]
pub fn media(
    handle: u32,
    trace_id: String,
    span_id: String,
    field: String,
    content_type: String,
    content: Either<String, Uint8ArraySlice<'_>>,
) -> Option<String> {
    let content = match &content {
        Either::A(text) => Content::Text(text),
        Either::B(bytes) => Content::Bytes(bytes),
    };
    session(|session| session.media(handle, (&trace_id, &span_id), &field, &content_type, content))
}

/// The content type of the member `data` of a provider's message.
#[napi(catch_unwind)]
#[must_use]
pub fn media_type(shape: String) -> Option<String> {
    Session::media_type(&shape)
}

/// What holds inside a scope.
#[napi(catch_unwind)]
#[must_use]
pub fn propagate(outer: String, said: String) -> String {
    Session::propagate(&outer, &said)
}

/// What a scope says as baggage.
#[napi(catch_unwind)]
#[must_use]
pub fn baggage(record: String) -> String {
    Session::baggage(&record)
}

/// Begins to send what is pending.
#[napi(catch_unwind)]
#[must_use]
pub fn flush(handle: u32, timeout: f64, close: bool) -> u32 {
    session(|session| session.flush(handle, timeout, close))
}

/// Closes every destination that matches.
#[napi(catch_unwind)]
#[must_use]
pub fn cleanup(which: String, timeout: f64) -> u32 {
    session(|session| session.cleanup(&which, timeout))
}

/// Begins to look a prompt up.
#[napi(catch_unwind)]
#[must_use]
pub fn prompt(handle: u32, request: String) -> u32 {
    session(|session| session.prompt(handle, &request))
}

/// Begins to make a version of a prompt, or to label one.
#[napi(catch_unwind)]
#[must_use]
pub fn write_prompt(handle: u32, name: String, version: Option<i64>, body: String) -> u32 {
    session(|session| session.write_prompt(handle, &name, version, &body))
}

/// Forgets a client's prompts.
#[napi(catch_unwind)]
pub fn clear_prompts(handle: u32) {
    session(|session| session.clear_prompts(handle));
}

/// Begins a request.
#[napi(catch_unwind)]
#[must_use]
pub fn request(handle: u32, method: String, target: String, body: String, timeout: f64) -> u32 {
    session(|session| session.request(handle, &method, &target, &body, timeout))
}

/// What a ticket waited for, once.
#[napi(catch_unwind)]
#[must_use]
pub fn poll(ticket: u32) -> Option<String> {
    session(|session| session.poll(ticket))
}

/// The counters.
#[napi(catch_unwind)]
#[must_use]
pub fn stats() -> String {
    session(|session| session.stats())
}

/// Lines for the log.
#[napi(catch_unwind)]
#[must_use]
pub fn notices(all: bool) -> String {
    session(|session| session.notices(all))
}

/// What a `traceparent` header says.
#[napi(catch_unwind)]
#[must_use]
pub fn traceparent(header: String) -> Option<String> {
    Session::traceparent(&header)
}

/// A trace id.
#[napi(catch_unwind)]
#[must_use]
pub fn trace_id(seed: Option<String>) -> String {
    Session::trace_id(seed.as_deref())
}

/// The letters of a record.
#[napi(catch_unwind)]
#[must_use]
pub fn fields() -> String {
    Session::fields()
}
