//! Engines compile a function when it is called first. Where a script is evaluated before there is a request to delay, one observation's
//! whole way is gone then, in a process of its own that is forgotten.

use std::cell::RefCell;
use std::sync::Arc;

use tracespool_core::Client;
use tracespool_core::hosted::Hosted;
use tracespool_core::interchange::session::Session;
use tracespool_core::pipeline::Action;
use tracespool_core::process::Process;
use tracespool_core::transport::{Outcome, Response};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{drive, host};

thread_local! {
    static THROWAWAY: RefCell<Option<Arc<Process>>> = const { RefCell::new(None) };
}

fn home() -> Arc<Process> {
    THROWAWAY.with_borrow_mut(|process| process.get_or_insert_with(|| host::made(&|_| None)).clone())
}

/// Ids and times of nobody.
const RECORD: &str = "0000000000000000000000000000000010000000000000001span\u{1f}warm\u{1f}i\"in\u{1f}o{{\"a\":\u{1f}b\u{1f}}\u{1f}\u{1f}";

/// Goes an observation's way once. Nothing is sent.
#[wasm_bindgen]
pub fn warm() {
    let mut session = Session::new(home, |options, env| {
        let env = env.unwrap_or_default();
        Client::open_known(options, 0, &|name| env.get(name).cloned(), home)
    });
    let handle = session
        .open(r#"{"public_key":"pk","secret_key":"sk","base_url":"http://localhost","env":{"A":"b"}}"#);
    let _ = session.settings(handle);
    let _ = session.end(handle, 1.0, 2.0, RECORD);
    let ticket = session.flush(handle, 1000.0, false);
    let mut hosted = Hosted::new(home());
    let _ = (hosted.rang(), hosted.turn());
    while let Some(action) = hosted.poll_action() {
        if let Action::Send { slot, request } = action {
            let _ = drive::head(&request);
            hosted.finish(slot, &Outcome::Response(Response { status: 200, ..Response::default() }));
        }
    }
    let _ = (hosted.turn(), hosted.is_idle(), session.poll(ticket), session.notices(true));
    THROWAWAY.set(None);
}
