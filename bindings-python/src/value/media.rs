//! Media inside a value: the reference goes into the text, the bytes into a list beside it.
//!
//! What is looked at on the hot path is a text's first five bytes and a few keys' lengths; everything here is behind that.
//! Decoding and hashing run without the interpreter's lock where they take long.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use tracespool_core::media::{self, Media, MediaSource, Place, Shape, data_uri, provider_type};

use super::encoder::{Encoder, utf8};
use crate::names::names;

/// Work on more bytes than this is done without the interpreter's lock.
const RELEASE_ABOVE: usize = 64 * 1024;

/// Contents that one value may hold; further ones stay in it as text.
const MAX_FOUND: usize = 1024;

/// The contents that were found in a value.
#[derive(Default)]
pub(crate) struct Found {
    /// Whether contents are looked for at all.
    pub(super) wanted: bool,
    pub(super) contents: Vec<Media>,
}

impl Found {
    fn add(&mut self, media: Media) {
        if !self.contents.iter().any(|known| known.is_same(&media)) {
            self.contents.push(media);
        }
    }

    fn full(&self) -> bool {
        self.contents.len() >= MAX_FOUND
    }
}

/// Whether a text may be a data URI: all that the hot path asks.
#[inline]
pub(super) fn may_be_data_uri(text: &[u8]) -> bool {
    text.starts_with(b"data:")
}

/// What a key means for the value below it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    Plain,
    /// `data`: maybe a content.
    Data,
    /// An object in which `data` is a content.
    Holder(Place),
}

/// Reads a key; most are told by their length alone.
#[inline]
pub(super) fn role(key: &[u8]) -> Role {
    match key.len() {
        4 if key == b"data" => Role::Data,
        5 | 10 | 11 => match Place::inside(key) {
            Place::Anywhere => Role::Plain,
            place => Role::Holder(place),
        },
        _ => Role::Plain,
    }
}

/// The content of base64 text, and what stands for it. The text's owner is held by the caller.
fn decoded(py: Python<'_>, content_type: &str, text: &str) -> Option<(Media, String)> {
    let work = || {
        let media = Media::new(content_type, media::decode(text)?)?;
        let reference = media.reference(MediaSource::DataUri);
        Some((media, reference))
    };
    if text.len() > RELEASE_ABOVE { py.detach(work) } else { work() }
}

/// The same of bytes.
fn hashed(py: Python<'_>, content_type: &str, bytes: &[u8], source: MediaSource) -> Option<(Media, String)> {
    let work = || {
        let media = Media::new(content_type, bytes.to_vec())?;
        let reference = media.reference(source);
        Some((media, reference))
    };
    if bytes.len() > RELEASE_ABOVE { py.detach(work) } else { work() }
}

/// The content that a whole text is, if it is one.
pub(super) fn of_text(text: &Bound<'_, PyString>, found: &mut Found) -> Option<String> {
    if !found.wanted || found.full() {
        return None;
    }
    // SAFETY: a live `str`, held by the caller for as long as its bytes are read.
    let bytes = unsafe { utf8(text.as_ptr()) };
    let Some(bytes) = bytes else {
        // SAFETY: attached; the failure is told again by whoever encodes the text.
        unsafe { ffi::PyErr_Clear() };
        return None;
    };
    let (content_type, data) = data_uri(std::str::from_utf8(bytes).ok()?)?;
    let (media, reference) = decoded(text.py(), content_type, data)?;
    found.add(media);
    Some(reference)
}

/// A member that is text.
fn word<'py>(holder: &Bound<'py, PyDict>, name: &Bound<'py, PyString>) -> Option<String> {
    holder.get_item(name).ok()??.extract().ok()
}

impl Encoder<'_, '_> {
    /// A `str` that begins like a data URI.
    ///
    /// # Safety
    ///
    /// `raw` is a live `str` that somebody keeps alive during the call.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn uri(&mut self, raw: *mut ffi::PyObject) {
        // SAFETY: as the caller vouches.
        let object = unsafe { Borrowed::from_ptr(self.py, raw) };
        let reference = object.cast::<PyString>().ok().and_then(|text| of_text(&text, self.found));
        match reference {
            Some(reference) => self.text(&reference),
            // SAFETY: as the caller vouches.
            None => unsafe { self.string(raw) },
        }
    }

    /// The value of a member `data`. False where it is no content, and nothing is written.
    ///
    /// # Safety
    ///
    /// `holder` is a live `dict`.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn data_member(
        &mut self,
        holder: *mut ffi::PyObject,
        value: &Bound<'_, PyAny>,
        place: Place,
    ) -> bool {
        let py = self.py;
        if !self.found.wanted || self.found.full() {
            return false;
        }
        // SAFETY: as the caller vouches; it gets a reference of its own before other code can run.
        let holder = unsafe { Bound::from_borrowed_ptr(py, holder) };
        let text = value.cast_exact::<PyString>().ok();
        let bytes = value.cast_exact::<PyBytes>().ok();
        let Ok(holder) = holder.cast::<PyDict>() else { return false };
        if text.is_none() && bytes.is_none() {
            return false;
        }
        let names = names(py);
        let word = |name: &Py<PyString>| word(holder, name.bind(py));
        let (kind, media_type, format) = (word(&names.kind), word(&names.media_type), word(&names.format));
        let mime_type = word(&names.mime_type).or_else(|| word(&names.mime_type_camel));
        let shape = Shape {
            kind: kind.as_deref(),
            media_type: media_type.as_deref(),
            mime_type: mime_type.as_deref(),
            format: format.as_deref(),
            transcript: holder.contains(names.transcript.bind(py)).unwrap_or(false),
        };
        let Some(content_type) = provider_type(place, &shape) else {
            return false;
        };
        let made = match (text, bytes) {
            (Some(text), _) => text.to_str().ok().and_then(|text| decoded(py, content_type, text)),
            (_, Some(bytes)) => hashed(py, content_type, bytes.as_bytes(), MediaSource::Bytes),
            _ => None,
        };
        let Some((media, reference)) = made else {
            return false;
        };
        self.found.add(media);
        self.text(&reference);
        true
    }

    /// A `LangfuseMedia`: its reference, also where nothing is uploaded, as in Langfuse's SDK.
    pub(super) fn media_object(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = self.py;
        let names = names(py);
        let content_type = object.getattr(names.content_type.bind(py))?;
        let content = object.getattr(names.content_bytes.bind(py))?;
        let source = match object.getattr(names.source.bind(py))?.extract::<String>().ok().as_deref() {
            Some("base64_data_uri") => MediaSource::DataUri,
            Some("file") => MediaSource::File,
            _ => MediaSource::Bytes,
        };
        let made = match (content_type.extract::<String>(), content.cast::<PyBytes>()) {
            (Ok(content_type), Ok(content)) => hashed(py, &content_type, content.as_bytes(), source),
            _ => None,
        };
        match made {
            Some((media, reference)) => {
                if self.found.wanted && !self.found.full() {
                    self.found.add(media);
                }
                self.text(&reference);
            }
            None => {
                let kind = content_type.str()?;
                self.text(&format!(
                    "<Upload handling failed for LangfuseMedia of type {}>",
                    kind.to_string_lossy()
                ));
            }
        }
        Ok(())
    }

    /// A `LangfuseMediaReference`; false where it does not know its reference and goes by its fields.
    pub(super) fn media_reference(&mut self, object: &Bound<'_, PyAny>) -> PyResult<bool> {
        let reference = object.getattr(names(self.py).reference_string.bind(self.py))?;
        let Ok(reference) = reference.extract::<String>() else {
            return Ok(false);
        };
        self.text(&reference);
        Ok(true)
    }
}
