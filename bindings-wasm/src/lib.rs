//! The core for edge runtimes and browsers: conversions only. `ts/backend.ts` in the npm package says what each function means;
//! [`texts`] says how text crosses, [`drive`] how requests go out.
//!
//! There are no threads and no timers here, and no function calls back into JavaScript. A panic would end the instance for
//! good, so nothing here indexes, divides or unwraps what came from outside.

pub mod drive;
mod host;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod numbers;
mod texts;

use std::cell::RefCell;

#[cfg(feature = "full")]
use tracespool_core::interchange::session::Content;
use tracespool_core::interchange::session::Session;
use tracespool_core::number::Digits;
use wasm_bindgen::prelude::wasm_bindgen;

thread_local! {
    static SESSION: RefCell<Session> = const { RefCell::new(Session::new(host::home, host::open)) };
}

fn session<T>(work: impl FnOnce(&mut Session) -> T) -> T {
    SESSION.with_borrow_mut(work)
}

/// Room for `size` bytes of arguments, one after the other.
#[wasm_bindgen]
#[must_use]
pub fn room(size: u32) -> *mut u8 {
    texts::room(size)
}

/// Where the text that was left last begins.
#[wasm_bindgen]
#[must_use]
pub fn left() -> *const u8 {
    texts::left()
}

/// The length of the text that was left last.
#[wasm_bindgen(js_name = leftLength)]
#[must_use]
pub fn left_length() -> i32 {
    texts::left_length()
}

/// This package's version.
#[wasm_bindgen]
#[must_use]
pub fn version() -> i32 {
    texts::give(Some(tracespool_core::VERSION.to_owned()))
}

/// A handle on a client.
#[wasm_bindgen]
#[must_use]
pub fn open(options: u32) -> u32 {
    texts::with([options], |[options]| session(|session| session.open(options.unwrap_or_default())))
}

/// What a handle came to be.
#[wasm_bindgen]
#[must_use]
pub fn settings(handle: u32) -> i32 {
    texts::give(Some(session(|session| session.settings(handle))))
}

/// New handles on what the cache holds, with commas between.
#[wasm_bindgen]
#[must_use]
pub fn find(public_key: u32) -> i32 {
    let found = texts::with([public_key], |[key]| session(|session| session.find(key)));
    let mut all = String::new();
    for handle in found {
        all.push_str(Digits::of(handle.into()).as_str());
        all.push(',');
    }
    texts::give(Some(all))
}

/// Gives a handle back.
#[wasm_bindgen]
pub fn release(handle: u32) {
    session(|session| session.release(handle));
}

/// Whether a trace is kept.
#[wasm_bindgen]
#[must_use]
pub fn keeps(handle: u32, trace_id: u32) -> bool {
    texts::with([trace_id], |[id]| session(|session| session.keeps(handle, id.unwrap_or_default())))
}

/// Hands an ended observation over. 1: a turn is wanted earlier than the last one said; 2: there is no room for another
/// trace; 3: both.
#[wasm_bindgen]
#[must_use]
pub fn end(handle: u32, start: f64, end: f64, record: u32) -> u32 {
    let room = texts::with([record], |[record]| {
        session(|session| session.end(handle, start, end, record.unwrap_or_default()))
    });
    u32::from(drive::rang()) | (u32::from(!room) << 1)
}

/// Whether there is room for another trace.
#[wasm_bindgen(js_name = hasRoom)]
#[must_use]
pub fn has_room(handle: u32) -> bool {
    session(|session| session.has_room(handle))
}

/// Counts observations for whose trace there was no room.
#[wasm_bindgen]
pub fn refused(handle: u32, count: u32) {
    session(|session| session.refused(handle, count));
}

/// Hands an ended span of other instrumentation over. True where a turn is wanted earlier than the last one said.
#[cfg(feature = "full")]
#[wasm_bindgen]
#[must_use]
pub fn span(handle: u32, envelope: u32, propagated: u32, span: u32) -> bool {
    texts::with([envelope, propagated, span], |[envelope, propagated, span]| {
        let text = Option::unwrap_or_default;
        session(|session| session.span(handle, text(envelope), text(propagated), text(span)));
    });
    drive::rang()
}

/// Counts observations that were given up.
#[wasm_bindgen(js_name = neverEnded)]
pub fn never_ended(handle: u32, count: u32) {
    session(|session| session.never_ended(handle, count));
}

/// Counts content that a mask failed on.
#[wasm_bindgen(js_name = maskFailed)]
pub fn mask_failed(handle: u32) {
    session(|session| session.mask_failed(handle));
}

/// Hands a score over.
#[cfg(feature = "full")]
#[wasm_bindgen]
#[must_use]
pub fn score(handle: u32, score: u32) -> i32 {
    let problem =
        texts::with([score], |[score]| session(|session| session.score(handle, score.unwrap_or_default())));
    texts::give(problem)
}

/// Takes a content out of a value: bytes, or text where `text` is true.
#[cfg(feature = "full")]
#[wasm_bindgen]
#[must_use]
pub fn media(
    handle: u32,
    trace_id: u32,
    span_id: u32,
    field: u32,
    content_type: u32,
    content: u32,
    text: bool,
) -> i32 {
    let reference = texts::bytes(&[trace_id, span_id, field, content_type, content], |parts| {
        let bytes = |at: usize| parts.get(at).copied().flatten().unwrap_or_default();
        let word = |at| std::str::from_utf8(bytes(at)).unwrap_or_default();
        let content = if text { Content::Text(word(4)) } else { Content::Bytes(bytes(4)) };
        session(|session| session.media(handle, (word(0), word(1)), word(2), word(3), content))
    });
    texts::give(reference)
}

/// The content type of the member `data` of a provider's message.
#[cfg(feature = "full")]
#[wasm_bindgen(js_name = mediaType)]
#[must_use]
pub fn media_type(shape: u32) -> i32 {
    texts::give(texts::with([shape], |[shape]| Session::media_type(shape.unwrap_or_default())))
}

/// What holds inside a scope.
#[wasm_bindgen]
#[must_use]
pub fn propagate(outer: u32, said: u32) -> i32 {
    let made = texts::with([outer, said], |[outer, said]| {
        Session::propagate(outer.unwrap_or_default(), said.unwrap_or_default())
    });
    texts::give(Some(made))
}

/// What a scope says as baggage.
#[cfg(feature = "full")]
#[wasm_bindgen]
#[must_use]
pub fn baggage(record: u32) -> i32 {
    texts::give(Some(texts::with([record], |[record]| Session::baggage(record.unwrap_or_default()))))
}

/// Begins to send what is pending.
#[wasm_bindgen]
#[must_use]
pub fn flush(handle: u32, timeout: f64, close: bool) -> u32 {
    session(|session| session.flush(handle, timeout, close))
}

/// Closes every destination that matches.
#[wasm_bindgen]
#[must_use]
pub fn cleanup(which: u32, timeout: f64) -> u32 {
    texts::with([which], |[which]| session(|session| session.cleanup(which.unwrap_or_default(), timeout)))
}

/// Begins to look a prompt up.
#[cfg(feature = "full")]
#[wasm_bindgen]
#[must_use]
pub fn prompt(handle: u32, request: u32) -> u32 {
    texts::with([request], |[request]| session(|session| session.prompt(handle, request.unwrap_or_default())))
}

/// Begins to make a version of a prompt, or with a `version` above 0 to label one.
#[cfg(feature = "full")]
#[wasm_bindgen(js_name = writePrompt)]
#[must_use]
#[allow(clippy::cast_possible_truncation)] // saturates
pub fn write_prompt(handle: u32, name: u32, version: f64, body: u32) -> u32 {
    let version = (version > 0.0).then_some(version as i64);
    texts::with([name, body], |[name, body]| {
        session(|session| {
            session.write_prompt(handle, name.unwrap_or_default(), version, body.unwrap_or_default())
        })
    })
}

/// Forgets a client's prompts.
#[cfg(feature = "full")]
#[wasm_bindgen(js_name = clearPrompts)]
pub fn clear_prompts(handle: u32) {
    session(|session| session.clear_prompts(handle));
}

/// Begins a request.
#[cfg(feature = "full")]
#[wasm_bindgen]
#[must_use]
pub fn request(handle: u32, method: u32, target: u32, body: u32, timeout: f64) -> u32 {
    texts::with([method, target, body], |[method, target, body]| {
        let [method, target, body] = [method, target, body].map(Option::unwrap_or_default);
        session(|session| session.request(handle, method, target, body, timeout))
    })
}

/// What a ticket waited for, once.
#[wasm_bindgen]
#[must_use]
pub fn poll(ticket: u32) -> i32 {
    texts::give(session(|session| session.poll(ticket)))
}

/// The counters.
#[wasm_bindgen]
#[must_use]
pub fn stats() -> i32 {
    texts::give(Some(session(|session| session.stats())))
}

/// Lines for the log.
#[wasm_bindgen]
#[must_use]
pub fn notices(all: bool) -> i32 {
    texts::give(Some(session(|session| session.notices(all))))
}

/// What a `traceparent` header says.
#[wasm_bindgen]
#[must_use]
pub fn traceparent(header: u32) -> i32 {
    texts::give(texts::with([header], |[header]| Session::traceparent(header.unwrap_or_default())))
}

/// A trace id.
#[wasm_bindgen(js_name = traceId)]
#[must_use]
pub fn trace_id(seed: u32) -> i32 {
    texts::give(Some(texts::with([seed], |[seed]| Session::trace_id(seed))))
}

/// The letters of a record.
#[cfg(feature = "full")]
#[wasm_bindgen]
#[must_use]
pub fn fields() -> i32 {
    texts::give(Some(Session::fields()))
}
