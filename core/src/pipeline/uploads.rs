//! Media on their way: each is announced, stored at the address that the server hands out, and confirmed.
//!
//! They wait in a line of their own, hold a quarter of the slots at most, and have breakers of their own for every server:
//! whatever is wrong with a store, or with the server's way of handing out its addresses, never holds a span up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;

use super::attempt::Work;
use super::queue::Entry;
use super::retry::{self, Verdict, Why};
use super::spool::Fate;
use super::{Action, Pipeline};
use crate::control::Target;
use crate::destination::{Destination, nanos};
use crate::endpoint::{BaseUrl, Endpoint};
use crate::full::FULL;
use crate::notice::NoticeKind;
use crate::report::{DropReason, Lane};
use crate::time::rfc3339;
use crate::transport::{Method, Now, Outcome, Payload, Request, Response, Slot};

/// Uploads of one destination under way.
const PER_DESTINATION: usize = 2;
/// Waiting uploads that are looked through for one whose content is not under way already.
const SEARCHED: usize = 64;
/// A line slower than this is taken for a dead one: bytes a second that an upload's deadline grants.
const SLOWEST: u64 = 256 * 1024;
/// Uploads of one destination that are announced and wait for their store; further ones are not begun.
const MAX_BEGUN: usize = 16;
/// How soon an upload that found no room asks again.
const RECHECK: u64 = 50_000_000;
/// Of an answer; the address is signed and may be long.
const MAX_RESPONSE: usize = 64 * 1024;
/// Of what a store said, in the confirmation of a failure.
const MAX_ERROR: usize = 500;

/// One use of a content, and how far it has come.
#[derive(Debug)]
pub(crate) struct Upload {
    entry: Entry,
    step: Step,
    failures: u32,
    not_before: u64,
    /// When the present round of steps is over, whatever the servers do; 0 before it begins.
    until: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Announce,
    Store { endpoint: Arc<Endpoint>, path: Arc<str>, began: u64 },
    Confirm { body: Arc<str>, fate: Fate, status: u16 },
}

/// What follows from an answer.
#[derive(Debug)]
enum Next {
    Go(Step),
    Done(Fate),
    Again { after: Duration, ordered: bool, unauthorized: bool },
}

impl Upload {
    fn new(entry: Entry) -> Self {
        Self { entry, step: Step::Announce, failures: 0, not_before: 0, until: 0 }
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(crate) fn into_entry(self) -> Entry {
        self.entry
    }

    fn digest(&self) -> Option<[u8; 32]> {
        digest(&self.entry)
    }

    fn len(&self) -> u64 {
        self.entry.item.content.as_ref().map_or(0, |content| content.media.len() as u64)
    }

    /// Total time of all three steps.
    fn round(&self) -> u64 {
        nanos(self.entry.item.timeout).saturating_mul(3).saturating_add(self.sending())
    }

    /// What the content's size adds to a request's time.
    fn sending(&self) -> u64 {
        self.len().saturating_mul(1_000_000_000) / SLOWEST
    }

    /// The breakers and bounds that the present step goes by.
    fn origin(&self, own: &Endpoint) -> Arc<str> {
        match &self.step {
            Step::Store { endpoint, .. } => format!("store {}", endpoint.origin).into(),
            Step::Announce | Step::Confirm { .. } => announcing(own),
        }
    }

    fn request(&self, destination: &Destination, now: Now) -> Option<Request> {
        let content = &self.entry.item.content.as_ref()?.media;
        let timeout = nanos(self.entry.item.timeout);
        let json = |method, path: Arc<str>, body| Request {
            endpoint: destination.endpoint.clone(),
            method,
            path,
            content_type: Some("application/json"),
            headers: Arc::new([]),
            authorized: true,
            payload: Payload::new(vec![body]),
            gzip: false,
            deadline: now.mono.saturating_add(timeout).min(self.until),
            max_response: MAX_RESPONSE,
            keep_headers: &[],
            repeatable: true,
        };
        Some(match &self.step {
            Step::Announce => json(Method::Post, "/api/public/media".into(), self.entry.item.payload.clone()),
            Step::Confirm { body, .. } => {
                let path = format!("/api/public/media/{}", content.id()).into();
                json(Method::Patch, path, body.as_bytes().to_vec().into())
            }
            Step::Store { endpoint, path, .. } => {
                let mut headers = vec![("content-type".to_owned(), content.content_type.to_string())];
                // Google's signatures cover all headers: there these two would break it.
                if !endpoint.url.host.ends_with("storage.googleapis.com")
                    && !path.contains("storage.googleapis.com")
                {
                    headers.push(("x-amz-checksum-sha256".to_owned(), content.sha256()));
                    headers.push(("x-ms-blob-type".to_owned(), "BlockBlob".to_owned()));
                }
                Request {
                    endpoint: endpoint.clone(),
                    method: Method::Put,
                    path: path.clone(),
                    content_type: None,
                    headers: headers.into(),
                    // The address is signed; our credentials are nobody else's business.
                    authorized: false,
                    payload: Payload::new(vec![content.bytes.clone()]),
                    gzip: false,
                    deadline: now.mono.saturating_add(timeout + self.sending()).min(self.until),
                    max_response: MAX_RESPONSE,
                    keep_headers: &[],
                    repeatable: true,
                }
            }
        })
    }

    /// What an answer to the present step means.
    fn next(&self, outcome: &Outcome, destination: &Destination, now: Now) -> Next {
        let verdict = retry::decide(outcome, Lane::Media, 1, self.failures);
        match (&self.step, verdict, outcome) {
            (Step::Announce, Verdict::Delivered { .. }, Outcome::Response(response)) => {
                self.announced(response, destination, now)
            }
            (Step::Confirm { fate, status, .. }, Verdict::Delivered { .. }, _) => {
                // A server that does not take this status for an upload goes on asking for the content.
                if *fate == Fate::Delivered
                    && *status != 200
                    && let Some(digest) = self.digest()
                {
                    destination.contents.learn(digest);
                }
                Next::Done(*fate)
            }
            (Step::Store { .. }, Verdict::Retry { after, why, ordered }, _) if why != Why::Unauthorized => {
                Next::Again { after, ordered, unauthorized: false }
            }
            (Step::Store { began, .. }, verdict, Outcome::Response(response)) => {
                let fate = match verdict {
                    Verdict::Delivered { .. } => Fate::Delivered,
                    Verdict::Split => Fate::Dropped(DropReason::TooLarge),
                    Verdict::Refused | Verdict::Retry { .. } => Fate::Dropped(DropReason::Rejected),
                };
                Next::Go(confirmation(response, fate, *began, now))
            }
            (_, Verdict::Retry { after, why, ordered }, _) => {
                Next::Again { after, ordered, unauthorized: why == Why::Unauthorized }
            }
            (_, Verdict::Split, _) => Next::Done(Fate::Dropped(DropReason::TooLarge)),
            (_, Verdict::Refused | Verdict::Delivered { .. }, _) => {
                Next::Done(Fate::Dropped(DropReason::Rejected))
            }
        }
    }

    fn announced(&self, response: &Response, destination: &Destination, now: Now) -> Next {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Told {
            media_id: String,
            upload_url: Option<String>,
        }
        let refused = Next::Done(Fate::Dropped(DropReason::Rejected));
        let Ok(told) = serde_json::from_slice::<Told>(&response.body) else {
            return refused;
        };
        let (Some(content), Some(digest)) = (&self.entry.item.content, self.digest()) else {
            return refused;
        };
        let url = told.upload_url.filter(|url| !url.is_empty());
        match url {
            None => Next::Done(Fate::Delivered),
            Some(_) if destination.contents.knows(&digest) => Next::Done(Fate::Delivered),
            Some(_) if told.media_id != content.media.id() => refused,
            Some(url) => match Target::foreign(&url) {
                Ok(Target::Foreign { endpoint, path })
                    if may_store(&destination.endpoint.url, &endpoint.url) =>
                {
                    Next::Go(Step::Store { endpoint, path, began: now.mono })
                }
                _ => refused,
            },
        }
    }
}

/// A server as far as it takes announcements; a name that no origin of the data has.
fn announcing(endpoint: &Endpoint) -> Arc<str> {
    format!("media {}", endpoint.origin).into()
}

fn digest(entry: &Entry) -> Option<[u8; 32]> {
    entry.item.content.as_ref().map(|content| content.media.digest)
}

/// Contents go in the clear only where the data does, or stays on this machine.
fn may_store(base: &BaseUrl, storage: &BaseUrl) -> bool {
    let local = base.host == "localhost"
        || base.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    storage.tls || !base.tls || local
}

/// The PATCH that tells how the upload went, failures too.
fn confirmation(response: &Response, fate: Fate, began: u64, now: Now) -> Step {
    let mut told = serde_json::json!({
        "uploadedAt": rfc3339(now.unix),
        "uploadHttpStatus": response.status,
        "uploadTimeMs": now.mono.saturating_sub(began) / 1_000_000,
    });
    if fate != Fate::Delivered {
        let text: String = String::from_utf8_lossy(&response.body).chars().take(MAX_ERROR).collect();
        told["uploadHttpError"] = text.into();
    }
    Step::Confirm { body: told.to_string().into(), fate, status: response.status }
}

/// A destination's media.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    /// Not begun.
    pub(crate) entries: VecDeque<Entry>,
    /// Between two steps, or to be tried again.
    pub(crate) begun: VecDeque<Upload>,
    /// Attempts under way, and their contents.
    pub(crate) slots: Vec<u64>,
    active: Vec<[u8; 32]>,
    /// When what waits has waited long enough.
    due: u64,
    /// A pause that the server ordered.
    not_before: u64,
    pub(crate) unauthorized: bool,
    /// It stands in line.
    queued: bool,
}

impl Uploads {
    pub(crate) fn push(&mut self, entry: Entry, linger: u64) {
        if FULL.is_none() {
            return;
        }
        if self.entries.is_empty() {
            self.due = entry.item.submitted.saturating_add(linger);
        }
        self.entries.push_back(entry);
    }

    pub(crate) fn is_empty(&self) -> bool {
        FULL.is_none() || (self.entries.is_empty() && self.begun.is_empty() && self.slots.is_empty())
    }

    /// What waits, begun or not.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Entry> {
        FULL.into_iter().flat_map(|_| self.entries.iter().chain(self.begun.iter().map(Upload::entry)))
    }

    /// Somebody waits: pauses of our own making are over.
    pub(crate) fn hurry(&mut self, now: u64) {
        if FULL.is_none() {
            return;
        }
        for upload in &mut self.begun {
            upload.not_before = upload.not_before.min(now);
        }
    }

    /// The place of the first one whose content is not under way: a content is stored once, and who comes second only has
    /// to announce itself.
    fn startable(&self) -> Option<usize> {
        if self.begun.len() >= MAX_BEGUN {
            return None;
        }
        self.entries.iter().take(SEARCHED).position(|entry| {
            digest(entry).is_none_or(|digest| {
                !self.active.contains(&digest)
                    && !self.begun.iter().any(|upload| upload.digest() == Some(digest))
            })
        })
    }

    /// When one more attempt may begin; `None` where that is up to those under way, or nothing waits.
    pub(crate) fn when(&self, flushing: bool) -> Option<u64> {
        FULL?;
        if self.slots.len() >= PER_DESTINATION {
            return None;
        }
        let fresh = self.startable().map(|_| if flushing { 0 } else { self.due });
        let begun = self.begun.iter().map(|upload| upload.not_before).min();
        fresh.into_iter().chain(begun).min().map(|at| at.max(self.not_before))
    }

    fn take_begun(&mut self, now: u64) -> Option<Upload> {
        let at = self.begun.iter().position(|upload| upload.not_before <= now)?;
        self.begun.remove(at)
    }

    fn take_entry(&mut self, now: u64, flushing: bool) -> Option<Entry> {
        if !flushing && now < self.due {
            return None;
        }
        let entry = self.entries.remove(self.startable()?);
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        entry
    }

    fn begin(&mut self, slot: u64, upload: &Upload) {
        self.slots.push(slot);
        self.active.extend(upload.digest());
    }

    pub(super) fn end(&mut self, slot: u64, upload: &Upload) {
        self.slots.retain(|other| *other != slot);
        if let Some(digest) = upload.digest()
            && let Some(at) = self.active.iter().position(|other| *other == digest)
        {
            self.active.swap_remove(at);
        }
    }

    /// Forgets the attempts under way.
    pub(super) fn forget_slots(&mut self) -> Vec<u64> {
        if FULL.is_none() {
            return Vec::new();
        }
        self.active.clear();
        std::mem::take(&mut self.slots)
    }

    /// Begins anew, on a fresh connection.
    pub(super) fn put_back(&mut self, mut upload: Upload) {
        (upload.until, upload.not_before) = (0, 0);
        self.begun.push_front(upload);
    }

    /// Takes out what was submitted before `oldest`.
    pub(crate) fn expire(&mut self, oldest: u64) -> Vec<Entry> {
        if FULL.is_none() {
            return Vec::new();
        }
        let late = self.entries.iter().take_while(|entry| entry.item.submitted < oldest).count();
        let (old, young): (Vec<Upload>, Vec<Upload>) =
            self.begun.drain(..).partition(|upload| upload.entry.item.submitted < oldest);
        self.begun = young.into();
        old.into_iter().map(Upload::into_entry).chain(self.entries.drain(..late)).collect()
    }

    /// Takes out everything that waits.
    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        if FULL.is_none() {
            return Vec::new();
        }
        let begun = std::mem::take(&mut self.begun).into_iter().map(Upload::into_entry);
        begun.chain(std::mem::take(&mut self.entries)).collect()
    }
}

impl Pipeline {
    /// Stands a destination in line whose next upload may begin.
    pub(super) fn queue_uploads(&mut self, id: u64, now: Now) {
        if FULL.is_some()
            && let Some(spool) = self.spools.get_mut(&id)
            && !spool.uploads.queued
            && spool.uploads.when(!spool.waiters.is_empty()).is_some_and(|at| at <= now.mono)
        {
            spool.uploads.queued = true;
            self.upload_line.push_back(id);
        }
    }

    /// Begins the next upload's next step, where there is room.
    pub(super) fn dispatch_uploads(&mut self, now: Now) -> Option<Action> {
        FULL?;
        let limit = self.shared.limits.in_flight.process;
        // Each turn sends something or moves an upload out of the way, so this ends.
        loop {
            if self.uploads_in_flight >= (limit / 4).max(1) || self.attempts.len() >= limit {
                return None;
            }
            let id = self.upload_line.pop_front()?;
            let Some(spool) = self.spools.get_mut(&id) else { continue };
            spool.uploads.queued = false;
            let action = self.begin_upload(id, now);
            self.look(id, now);
            if action.is_some() {
                return action;
            }
        }
    }

    fn begin_upload(&mut self, id: u64, now: Now) -> Option<Action> {
        let full = FULL?;
        let spool = self.spools.get_mut(&id)?;
        let flushing = !spool.waiters.is_empty();
        if spool.uploads.when(flushing).is_none_or(|at| at > now.mono) {
            return None;
        }
        let destination = spool.destination.clone();
        let mut upload = match spool.uploads.take_begun(now.mono) {
            Some(upload) => upload,
            None => {
                let own = announcing(&destination.endpoint);
                if let Some(until) = self.closed_until(&own, now) {
                    // Before anything is taken: what waits for a dead server costs nothing.
                    self.spools.get_mut(&id)?.uploads.not_before = until;
                    return None;
                }
                let spool = self.spools.get_mut(&id)?;
                Upload::new(spool.uploads.take_entry(now.mono, flushing)?)
            }
        };
        let origin = upload.origin(&destination.endpoint);
        let wait = self.closed_until(&origin, now).or_else(|| {
            // The first repetition is free: after a blip everybody has one.
            let rationed = upload.failures > 1 && !self.retry_budget.retry(now.mono);
            rationed.then(|| now.mono + nanos(retry::jittered(Duration::from_secs(1), 1.0)))
        });
        if let Some(until) = wait {
            upload.not_before = until;
            self.spools.get_mut(&id)?.uploads.begun.push_back(upload);
            return None;
        }
        let origin_id = self.origin_id(&origin, now);
        if upload.failures == 0 {
            self.retry_budget.request();
        } else {
            self.shared.retries.fetch_add(1, Ordering::Relaxed);
        }
        if upload.until == 0 {
            upload.until = now.mono.saturating_add(upload.round());
        }
        let Some(request) = upload.request(&destination, now) else {
            self.settle(
                &destination,
                Lane::Media,
                &[upload.entry],
                Fate::Dropped(DropReason::EncodeFailed),
                now,
            );
            return None;
        };
        let slot = self.next_slot;
        self.spools.get_mut(&id)?.uploads.begin(slot, &upload);
        self.uploads_in_flight += 1;
        Some(self.send(
            origin_id,
            false,
            Work::Upload { spool: id, upload: Box::new(upload), full },
            request,
            now,
        ))
    }

    /// Until when nothing may go there; `None` where it may.
    fn closed_until(&mut self, name: &Arc<str>, now: Now) -> Option<u64> {
        let limit = (self.shared.limits.in_flight.origin / 4).max(1);
        let id = self.origin_id(name, now);
        let origin = self.origins.get(&id)?;
        let room = origin.admits(now.mono) && origin.in_flight < limit;
        (!room).then(|| origin.opens_at().unwrap_or(0).max(now.mono + RECHECK))
    }

    pub(super) fn end_upload(
        &mut self,
        slot: Slot,
        id: u64,
        mut upload: Upload,
        outcome: &Outcome,
        now: Now,
    ) {
        let Some(spool) = self.spools.get_mut(&id) else { return };
        let destination = spool.destination.clone();
        spool.uploads.end(slot.0, &upload);
        let next = upload.next(outcome, &destination, now);
        match next {
            Next::Go(step) => {
                spool.uploads.unauthorized = false;
                if upload.failures > 1 {
                    self.retry_budget.succeeded();
                }
                if let Step::Confirm { fate: Fate::Dropped(_), .. } = &step {
                    self.tell_upload(&destination, &upload, outcome, "gave one item up", now);
                }
                (upload.step, upload.failures, upload.not_before) = (step, 0, 0);
                if let Some(spool) = self.spools.get_mut(&id) {
                    spool.uploads.begun.push_front(upload);
                }
            }
            Next::Done(fate) => {
                spool.uploads.unauthorized = false;
                let told = matches!(upload.step, Step::Confirm { fate: Fate::Dropped(_), .. });
                if fate != Fate::Delivered && !told {
                    self.tell_upload(&destination, &upload, outcome, "gave one item up", now);
                }
                self.settle(&destination, Lane::Media, &[upload.into_entry()], fate, now);
            }
            Next::Again { after, ordered, unauthorized } => {
                upload.failures += 1;
                upload.until = 0;
                upload.not_before = now.mono.saturating_add(nanos(after));
                let own = !matches!(upload.step, Step::Store { .. });
                if ordered && own {
                    spool.uploads.not_before = spool.uploads.not_before.max(upload.not_before);
                }
                spool.uploads.unauthorized |= unauthorized;
                if unauthorized || upload.failures == 3 {
                    self.tell_upload(&destination, &upload, outcome, "will be tried again", now);
                }
                if let Some(spool) = self.spools.get_mut(&id) {
                    spool.uploads.begun.push_back(upload);
                }
            }
        }
        self.look(id, now);
    }

    fn tell_upload(
        &self,
        destination: &Destination,
        upload: &Upload,
        outcome: &Outcome,
        what: &str,
        now: Now,
    ) {
        self.shared.notices.add(NoticeKind::Server, &destination.public_key, 1, now.mono, || {
            // Never the path: it is signed.
            let url = match &upload.step {
                Step::Store { endpoint, .. } => &endpoint.url,
                Step::Announce | Step::Confirm { .. } => &destination.endpoint.url,
            };
            match outcome {
                Outcome::Response(response) if (200..300).contains(&response.status) => {
                    format!("{url} named no address that media may go to: {what}")
                }
                Outcome::Response(response) => format!("{url} answered {} to media: {what}", response.status),
                Outcome::Failed(failure) => {
                    format!("{url} did not take media ({:?}: {}): {what}", failure.phase, failure.detail)
                }
            }
        });
    }
}
