//! What is captured before its observation starts: arguments are captured by the call that passes them, while
//! `with client.start_as_current_observation(...)` starts it at the `with`, and a decorator starts one with each call.

use tracespool_core::attr::{Field, Level, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::media::{Media, MediaField};
use tracespool_core::{Dialect, Values};

use crate::arguments::Sink;

/// Values in their final bytes, and the media that they refer to.
pub(crate) struct Ahead {
    pub(crate) values: Values,
    media: Vec<(MediaField, Media)>,
}

impl Ahead {
    pub(crate) fn new(dialect: Dialect, kind: ObservationType, name: &str) -> Self {
        let mut values = Values::ahead(dialect, kind);
        values.set_name(name);
        Self { values, media: Vec::new() }
    }

    /// Uploads the media of an observation that has started with the values.
    pub(crate) fn attach(&self, observation: &tracespool_core::Observation) {
        for (field, content) in &self.media {
            observation.attach(*field, content.clone());
        }
    }
}

impl Sink for Ahead {
    fn wants(&mut self) -> bool {
        true
    }
    fn field(&mut self, field: Field, value: Value<'_>) {
        self.values.set(field, value);
    }
    fn metadata(&mut self, key: &str, value: Value<'_>) {
        self.values.set_metadata(key, value);
    }
    fn level(&mut self, level: Level) {
        self.values.set_level(level);
    }
    fn status_message(&mut self, text: &str) {
        self.values.set_status_message(text);
    }
    fn name(&mut self, text: &str) {
        self.values.set_name(text);
    }
    fn media(&mut self, field: MediaField, contents: Vec<Media>) {
        self.media.extend(contents.into_iter().map(|content| (field, content)));
    }
}
