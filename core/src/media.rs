//! Media: pictures, sound and documents inside a value. A reference stands in the value; the bytes travel apart from it, and
//! each distinct content once.
//!
//! The reference, the id and what counts as a data URI are the Langfuse server's and SDKs' rules.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// Where a content type ends at the latest; what is longer is no media (RFC 6838, section 4.2, allows 127 for each half).
const MAX_CONTENT_TYPE: usize = 255;
/// How far into a data URI its comma is looked for.
const MAX_HEADER: usize = 512;

/// Both alphabets are read by mapping the URL-safe one first; padding may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What part of an observation a content belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaField {
    /// Its input.
    Input,
    /// Its output.
    Output,
    /// Its metadata.
    Metadata,
}

impl MediaField {
    /// The server's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Metadata => "metadata",
        }
    }
}

/// In what form the application passed a content; it is told in the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaSource {
    /// Base64 text.
    DataUri,
    /// Bytes.
    Bytes,
    /// The path of a file.
    File,
}

impl MediaSource {
    /// The word in a reference.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DataUri => "base64_data_uri",
            Self::Bytes => "bytes",
            Self::File => "file",
        }
    }
}

/// One content. Clones share the bytes.
#[derive(Clone)]
pub struct Media {
    pub(crate) digest: [u8; 32],
    pub(crate) content_type: Box<str>,
    pub(crate) bytes: Bytes,
}

impl Media {
    /// Hashes the content; `None` where it is empty or `content_type` is none.
    #[must_use]
    pub fn new(content_type: &str, bytes: impl Into<Bytes>) -> Option<Self> {
        let bytes = bytes.into();
        if bytes.is_empty() || !is_content_type(content_type) {
            return None;
        }
        Some(Self { digest: Sha256::digest(&bytes).into(), content_type: content_type.into(), bytes })
    }

    /// The content's id: the first 22 characters of its hash in the URL-safe alphabet.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = URL_SAFE_NO_PAD.encode(self.digest);
        id.truncate(22);
        id
    }

    /// The hash as the server and the object stores want it.
    #[must_use]
    pub fn sha256(&self) -> String {
        STANDARD.encode(self.digest)
    }

    /// What stands for the content in the value.
    #[must_use]
    pub fn reference(&self, source: MediaSource) -> String {
        format!("@@@langfuseMedia:type={}|id={}|source={}@@@", self.content_type, self.id(), source.as_str())
    }

    /// Whether it is the same content, under the same name of its type.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.content_type == other.content_type
    }

    /// Bytes of the content.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never true; see [`Media::new`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Media({} {}, {} bytes)", self.content_type, self.id(), self.bytes.len())
    }
}

/// The content type and the base64 text of `data:<type>[;...];base64,<text>`, where `text` is that from end to end. Reads
/// no more than the beginning.
#[must_use]
pub fn data_uri(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("data:")?;
    let comma = rest.as_bytes().iter().take(MAX_HEADER).position(|byte| *byte == b',')?;
    let (header, data) = (rest.get(..comma)?, rest.get(comma + 1..)?);
    let header = header.strip_suffix(";base64")?;
    let content_type = header.split(';').next()?;
    (is_content_type(content_type) && !data.is_empty()).then_some((content_type, data))
}

/// What base64 text holds: either alphabet, with or without padding, white space ignored. `None` for anything else.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = LENIENT.decode(text) {
        return Some(bytes);
    }
    let mapped: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    LENIENT.decode(mapped).ok()
}

/// The members beside `data` by which a provider's message says what it holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape<'a> {
    /// `type`
    pub kind: Option<&'a str>,
    /// `media_type`
    pub media_type: Option<&'a str>,
    /// `mime_type` or `mimeType`
    pub mime_type: Option<&'a str>,
    /// `format`
    pub format: Option<&'a str>,
    /// There is a `transcript`.
    pub transcript: bool,
}

/// The member of a message that an object is the value of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Any.
    #[default]
    Anywhere,
    /// `inline_data` or `inlineData`.
    InlineData,
    /// `input_audio` or `audio`.
    Audio,
}

impl Place {
    /// The place inside the member of this name.
    #[must_use]
    pub fn inside(name: &[u8]) -> Self {
        match name {
            b"inline_data" | b"inlineData" => Self::InlineData,
            b"input_audio" | b"audio" => Self::Audio,
            _ => Self::Anywhere,
        }
    }
}

/// The content type of the member `data` of an object in that place: Anthropic's `base64` sources, Vertex AI's `media`,
/// Gemini's inline data, OpenAI's audio. `None` for any other object.
#[must_use]
pub fn provider_type<'a>(place: Place, shape: &Shape<'a>) -> Option<&'a str> {
    let named = match (place, shape.kind) {
        (_, Some("base64")) => shape.media_type,
        (_, Some("media")) => shape.mime_type,
        (Place::InlineData, _) => shape.mime_type,
        (Place::Audio, _) => match shape.format {
            Some("wav") => Some("audio/wav"),
            Some("mp3") => Some("audio/mp3"),
            Some("flac") => Some("audio/flac"),
            Some("opus") => Some("audio/opus"),
            Some("aac") => Some("audio/aac"),
            Some("ogg") => Some("audio/ogg"),
            // Samples without a container: no type that the server knows.
            Some("pcm16") => Some("application/octet-stream"),
            // An answer does not say in which format it was asked for.
            None if shape.transcript => Some("audio/wav"),
            _ => None,
        },
        (Place::Anywhere, _) => None,
    };
    named.filter(|kind| is_content_type(kind))
}

/// `type/subtype` of the characters that a header and a reference can hold.
fn is_content_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    text.len() <= MAX_CONTENT_TYPE
        && text.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_references_are_those_of_langfuse() {
        // What langfuse 5.0.4 makes of the same bytes.
        let media = Media::new("image/png", b"hello".as_slice()).unwrap();
        assert_eq!(media.id(), "LPJNul-wow4m6Dsqxbninh");
        assert_eq!(
            media.reference(MediaSource::DataUri),
            "@@@langfuseMedia:type=image/png|id=LPJNul-wow4m6Dsqxbninh|source=base64_data_uri@@@"
        );
        assert_eq!(media.sha256(), "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    }

    #[test]
    fn a_data_uri_is_one_from_end_to_end() {
        let text = "aGVsbG8=";
        assert_eq!(data_uri("data:image/png;base64,aGVsbG8="), Some(("image/png", text)));
        assert_eq!(
            data_uri("data:image/svg+xml;charset=utf-8;base64,aGVsbG8="),
            Some(("image/svg+xml", text))
        );
        let long = format!("data:image/png{};base64,x", ";a=b".repeat(200));
        for other in [
            "data:",
            "data: {\"delta\": \"base64,\"}",
            "data:image/png,plain",
            "data:image/png;base64,",
            "data:;base64,aGVsbG8=",
            "data:image|png;base64,aGVsbG8=",
            "data:image/png@@@;base64,aGVsbG8=",
            "see data:image/png;base64,aGVsbG8=",
            &long,
        ] {
            assert_eq!(data_uri(other), None, "{other}");
        }
    }

    #[test]
    fn base64_in_every_form_is_read_and_nothing_else() {
        for text in ["+/+/aGVsbG8=", "-_-_aGVsbG8=", "+/+/aGVsbG8", "+/+/aGVs\r\nbG8=\n"] {
            assert_eq!(decode(text).unwrap(), b"\xfb\xff\xbfhello", "{text}");
        }
        for text in ["not base64!", "a", "@@@langfuseMedia:type=image/png|id=x|source=bytes@@@"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn providers_say_what_they_hold_each_in_its_own_way() {
        let shape = Shape { kind: Some("base64"), media_type: Some("image/jpeg"), ..Shape::default() };
        assert_eq!(provider_type(Place::Anywhere, &shape), Some("image/jpeg"));
        let shape = Shape { mime_type: Some("audio/mp3"), ..Shape::default() };
        assert_eq!(provider_type(Place::InlineData, &shape), Some("audio/mp3"));
        assert_eq!(provider_type(Place::Anywhere, &shape), None);
        assert_eq!(
            provider_type(Place::Anywhere, &Shape { kind: Some("media"), ..shape }),
            Some("audio/mp3")
        );
        let shape = Shape { format: Some("wav"), ..Shape::default() };
        assert_eq!(provider_type(Place::Audio, &shape), Some("audio/wav"));
        assert_eq!(provider_type(Place::Anywhere, &shape), None);
        let bad = Shape { kind: Some("base64"), media_type: Some("image/png|id=forged"), ..Shape::default() };
        assert_eq!(provider_type(Place::Anywhere, &bad), None);
    }

    #[test]
    fn nothing_is_no_media() {
        assert!(Media::new("image/png", Vec::new()).is_none());
        assert!(Media::new("no type", b"x".as_slice()).is_none());
    }
}
