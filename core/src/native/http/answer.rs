//! Reads one answer from bytes as they arrive.
//!
//! `ureq-proto` finds out where the answer ends and whether the connection may serve again; here its body is decompressed
//! and bounded. What exceeds the bound is read and thrown away, so that the connection can be kept, up to a limit at which
//! it is cheaper to close it.

use std::time::Duration;

use flate2::{Decompress, FlushDecompress, Status};
use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::http::{HeaderMap, Method, Request, header};

use crate::transport::Response;

use super::response_headers::response_headers;

/// A response head beyond this is no head.
const MAX_HEAD: usize = 64 * 1024;
/// Body bytes read for the sake of keeping the connection.
const MAX_DISCARDED: usize = 8 * 1024 * 1024;

enum State {
    Head(Call<RecvResponse>),
    Body(Call<RecvBody>),
    Ended,
}

pub(super) struct Answer {
    state: State,
    response: Response,
    max_body: usize,
    keep_headers: &'static [&'static str],
    gzip: Option<Box<Decompress>>,
    /// Bytes that do not make a line or a chunk header yet.
    rest: Vec<u8>,
    /// Body bytes seen, kept or not.
    seen: usize,
    /// The first byte has come.
    started: bool,
    reusable: bool,
    keep_alive: Option<Duration>,
}

impl Answer {
    /// To a request (`tunnel`: to a CONNECT, whose 2xx answers have no body).
    pub(super) fn new(
        tunnel: bool,
        max_body: usize,
        keep_headers: &'static [&'static str],
    ) -> Result<Self, String> {
        // Only "was it CONNECT or HEAD" matters for reading, so a bare request stands for the real one, which never passes
        // through code that might log it.
        let mut request = Request::new(());
        if tunnel {
            *request.method_mut() = Method::CONNECT;
            *request.uri_mut() = ureq_proto::http::Uri::from_static("tunnel:1");
        }
        let mut call = Call::new(request).map_err(|e| e.to_string())?.proceed();
        let mut unused = [0_u8; 128];
        call.write(&mut unused).map_err(|e| e.to_string())?;
        match call.proceed() {
            Ok(Some(SendRequestResult::RecvResponse(call))) => Ok(Self {
                state: State::Head(call),
                response: Response::default(),
                max_body,
                keep_headers,
                gzip: None,
                rest: Vec::new(),
                seen: 0,
                started: false,
                reusable: false,
                keep_alive: None,
            }),
            _ => Err("the HTTP state machine refused to wait for an answer".into()),
        }
    }

    /// Takes what was received; true when the answer is complete. `scratch` holds nothing of value before or after.
    pub(super) fn feed(&mut self, input: &[u8], scratch: &mut [u8]) -> Result<bool, String> {
        self.started |= !input.is_empty();
        if self.rest.is_empty() {
            let used = self.advance(input, scratch)?;
            self.keep_rest(input.get(used..).unwrap_or_default())?;
        } else {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(input);
            let used = self.advance(&joined, scratch)?;
            self.keep_rest(joined.get(used..).unwrap_or_default())?;
        }
        Ok(matches!(self.state, State::Ended))
    }

    fn keep_rest(&mut self, rest: &[u8]) -> Result<(), String> {
        if rest.is_empty() {
            return Ok(());
        }
        if matches!(self.state, State::Ended) {
            // Nobody asked for these bytes: whatever they are, the next answer must not begin with them.
            self.reusable = false;
            return Ok(());
        }
        if rest.len() > MAX_HEAD {
            return Err("the answer's head is longer than 64 KiB".into());
        }
        self.rest.extend_from_slice(rest);
        Ok(())
    }

    fn advance(&mut self, input: &[u8], scratch: &mut [u8]) -> Result<usize, String> {
        let mut at = 0;
        loop {
            let left = input.get(at..).unwrap_or_default();
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Head(mut call) => {
                    let (used, head) = call.try_response(left, false).map_err(|e| e.to_string())?;
                    at += used;
                    let Some(head) = head else {
                        self.state = State::Head(call);
                        // An interim answer (1xx) is used up; the real one follows.
                        if used > 0 {
                            continue;
                        }
                        return Ok(at);
                    };
                    self.response.status = head.status().as_u16();
                    self.note_headers(head.headers());
                    match call.proceed() {
                        Some(RecvResponseResult::RecvBody(call)) => self.state = State::Body(call),
                        Some(RecvResponseResult::Redirect(call)) => {
                            self.reusable = !call.must_close_connection()
                        }
                        Some(RecvResponseResult::Cleanup(call)) => {
                            self.reusable = !call.must_close_connection()
                        }
                        None => return Err("the answer's head is unfinished".into()),
                    }
                }
                State::Body(mut call) => {
                    let (used, made) = call.read(left, scratch).map_err(|e| e.to_string())?;
                    at += used;
                    self.store(scratch.get(..made).unwrap_or_default())?;
                    if call.can_proceed() && call.body_mode() != BodyMode::CloseDelimited {
                        self.reusable = match call.proceed() {
                            Some(RecvBodyResult::Redirect(call)) => !call.must_close_connection(),
                            Some(RecvBodyResult::Cleanup(call)) => !call.must_close_connection(),
                            None => false,
                        };
                        return Ok(at);
                    }
                    if self.seen > MAX_DISCARDED.max(self.max_body) {
                        // Taken as it is; `reusable` stays false, so the connection is closed.
                        return Ok(at);
                    }
                    self.state = State::Body(call);
                    if used == 0 && made == 0 {
                        return Ok(at);
                    }
                }
                State::Ended => return Ok(at),
            }
        }
    }

    fn note_headers(&mut self, headers: &HeaderMap) {
        let text =
            |name| headers.get(name).and_then(|value: &ureq_proto::http::HeaderValue| value.to_str().ok());
        (self.response.content_type, self.response.retry_after) = response_headers(headers);
        self.response.headers = (self.keep_headers.iter())
            .filter_map(|name| {
                let value = headers.get(*name)?.to_str().ok()?;
                Some(((*name).to_owned(), value.to_owned()))
            })
            .collect();
        let encoded =
            text(header::CONTENT_ENCODING).is_some_and(|value| value.trim().eq_ignore_ascii_case("gzip"));
        if encoded {
            self.gzip = Some(Box::new(Decompress::new_gzip(15)));
        }
        if let Some(value) = text(header::HeaderName::from_static("keep-alive")) {
            let seconds =
                value.split(',').find_map(|part| part.trim().strip_prefix("timeout=")?.trim().parse().ok());
            self.keep_alive = seconds.map(Duration::from_secs);
        }
    }

    fn store(&mut self, piece: &[u8]) -> Result<(), String> {
        self.seen += piece.len();
        let room = self.max_body - self.response.body.len();
        let Some(gzip) = self.gzip.as_mut() else {
            self.response.body.extend_from_slice(piece.get(..room).unwrap_or(piece));
            return Ok(());
        };
        let mut left = piece;
        let mut out = [0_u8; 4096];
        while self.response.body.len() < self.max_body {
            let (before_in, before_out) = (gzip.total_in(), gzip.total_out());
            let status = gzip
                .decompress(left, &mut out, FlushDecompress::None)
                .map_err(|error| format!("the answer's gzip is damaged: {error}"))?;
            let used = usize::try_from(gzip.total_in() - before_in).unwrap_or(left.len());
            let made = usize::try_from(gzip.total_out() - before_out).unwrap_or(0);
            let room = self.max_body - self.response.body.len();
            self.response.body.extend_from_slice(out.get(..made.min(room)).unwrap_or_default());
            left = left.get(used..).unwrap_or_default();
            // A full output may hide more of it inside, even where the input is used up.
            if status == Status::StreamEnd
                || (left.is_empty() && made < out.len())
                || (used == 0 && made == 0)
            {
                break;
            }
        }
        Ok(())
    }

    /// The peer closed; true where that is a proper end.
    pub(super) fn end(&mut self) -> bool {
        let proper = match &self.state {
            State::Head(_) => false,
            State::Body(call) => call.body_mode() == BodyMode::CloseDelimited || call.is_ended_chunked(),
            State::Ended => true,
        };
        if proper {
            self.reusable = false;
            self.state = State::Ended;
        }
        proper
    }

    /// Whether a first byte has come.
    pub(super) fn started(&self) -> bool {
        self.started
    }

    /// The status, once known.
    pub(super) fn status(&self) -> u16 {
        self.response.status
    }

    /// Whether the connection may carry another request.
    pub(super) fn reusable(&self) -> bool {
        self.reusable
    }

    /// How long the server says that it keeps an idle connection.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.rest.capacity() + self.response.body.capacity()
    }

    pub(super) fn into_response(self) -> Response {
        self.response
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(wire: &[u8], step: usize, max: usize) -> (Result<bool, String>, Answer) {
        let mut answer = Answer::new(false, max, &["retry-after", "etag"]).unwrap();
        let mut scratch = [0_u8; 64];
        let mut complete = Ok(false);
        for piece in wire.chunks(step) {
            complete = answer.feed(piece, &mut scratch);
            if complete.is_err() {
                break;
            }
        }
        (complete, answer)
    }

    #[test]
    fn however_it_is_cut_the_answer_is_the_same() {
        let chunked = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Type: Text/Plain; charset=x\r\nRetry-After: 7\r\n\
            Keep-Alive: timeout=5, max=9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: 1\r\n\r\n";
        for step in [1, 2, 3, 7, 1000] {
            let (complete, answer) = read(chunked, step, 1000);
            assert_eq!(complete, Ok(true), "step {step}");
            assert!(answer.reusable());
            assert_eq!(answer.keep_alive(), Some(Duration::from_secs(5)));
            let response = answer.into_response();
            assert_eq!((response.status, response.content_type.as_str()), (503, "text/plain"));
            assert_eq!(response.headers, [("retry-after".to_owned(), "7".to_owned())]);
            assert_eq!(
                (response.retry_after, response.body.as_slice()),
                (Some(Duration::from_secs(7)), &b"hello world"[..])
            );
        }
    }

    #[test]
    fn only_an_exact_end_keeps_the_connection() {
        for (wire, reusable) in [
            (&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..], true),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok!", false),
            (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", false),
            (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false),
            (b"HTTP/1.1 204 No Content\r\n\r\n", true),
            (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", true),
            (b"HTTP/1.1 301 Moved\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", true),
        ] {
            let (complete, answer) = read(wire, 1000, 10);
            assert_eq!(complete, Ok(true));
            assert_eq!(answer.reusable(), reusable, "{}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let (complete, mut answer) = read(b"HTTP/1.1 200 OK\r\n\r\nall there is", 5, 100);
        assert_eq!(complete, Ok(false));
        assert!(answer.end() && !answer.reusable());
        assert_eq!(answer.into_response().body, b"all there is");
        let (_, mut answer) = read(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", 5, 100);
        assert!(!answer.end());
    }

    #[test]
    fn a_body_is_bounded_and_decompressed() {
        let (complete, answer) = read(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789", 3, 4);
        assert_eq!((complete, answer.reusable()), (Ok(true), true));
        assert_eq!(answer.into_response().body, b"0123");

        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&[b'x'; 100_000]).unwrap();
        let packed = encoder.finish().unwrap();
        let mut wire =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len())
                .into_bytes();
        wire.extend_from_slice(&packed);
        for max in [200_000, 50_000] {
            let (complete, answer) = read(&wire, 11, max);
            assert_eq!(complete, Ok(true));
            assert_eq!(answer.into_response().body.len(), max.min(100_000));
        }
    }

    #[test]
    fn what_is_not_http_is_refused_at_once() {
        assert!(read(b"SSH-2.0-OpenSSH_9.6\r\n", 100, 10).0.is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", 100, 10).0.is_err());
        let endless = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'a'; 70_000]].concat();
        assert!(read(&endless, 4096, 10).0.is_err());
    }
}
