//! Attribute and keyword names as interned objects, all made at import.
//!
//! PyO3's `intern!` makes each at its first use, inside a once-cell that lets go of the interpreter's lock meanwhile: a fork
//! in that moment would leave the cell "being filled" in the child for ever. Nothing in this crate is made lazily that way.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

macro_rules! names {
    ($($name:ident $text:literal),* $(,)?) => {
        /// The names.
        #[allow(missing_docs)]
        pub(crate) struct Names {
            $(pub(crate) $name: Py<PyString>,)*
        }

        impl Names {
            fn new(py: Python<'_>) -> Self {
                Self { $($name: PyString::intern(py, $text).unbind(),)* }
            }
        }
    };
}

names! {
    args "args", around "around", astimezone "astimezone", attributes "attributes", body_iterator "body_iterator",
    content_bytes "_content_bytes", content_type "_content_type", context "context", copy "copy", data "data",
    dataclass_fields "__dataclass_fields__", description "description", dict "__dict__", dict_v1 "dict",
    dropped_attributes "dropped_attributes", dropped_events "dropped_events", dropped_links "dropped_links",
    end_time "end_time", events "events", extra "__pydantic_extra__", field_type "_field_type", format "format",
    get_span_context "get_span_context", instrumentation_scope "instrumentation_scope", int "int", is_remote "is_remote",
    isoformat "isoformat", item "item", kind "kind", kwargs "kwargs", media_type "media_type", mime_type "mime_type",
    mime_type_camel "mimeType", reference_string "reference_string", source "_source", transcript "transcript",
    type_ "type",
    langfuse_parent_observation_id "langfuse_parent_observation_id", langfuse_public_key "langfuse_public_key",
    langfuse_trace_id "langfuse_trace_id", links "links", model_dump "model_dump", module "__module__", name "name",
    observation "observation", opentelemetry_trace "opentelemetry.trace", parent "parent", resource "resource",
    schema_url "schema_url", size "size", slots "__slots__", span_id "span_id", start_time "start_time",
    status "status", status_code "status_code", timestamp "timestamp", to_json "to_json", tolist "tolist",
    trace_flags "trace_flags", trace_id "trace_id", trace_state "trace_state", tzinfo "tzinfo", value "_value_",
    version "version",
    // Of `propagate_attributes`.
    metadata "metadata", session_id "session_id", tags "tags", user_id "user_id",
    // LangChain's.
    additional_kwargs "additional_kwargs", answer_usage "_usage", bedrock_metrics "amazon-bedrock-invocationMetrics",
    bounds "_bounds", content "content", failed "_failed", generation_info "generation_info", generations "generations",
    hidden "langsmith:hidden", id "id", input "input", input_tokens "input_tokens", invalid_tool_calls "invalid_tool_calls",
    kind_of_model "_type",
    langfuse_prompt "langfuse_prompt", langfuse_session_id "langfuse_session_id", langfuse_tags "langfuse_tags",
    langfuse_trace_name "langfuse_trace_name", langfuse_user_id "langfuse_user_id", leave "_leave",
    llm_output "llm_output", ls_model_name "ls_model_name", message "message", model_of "_model", model_name "model_name",
    mro "__mro__", output "output", output_tokens "output_tokens", response_metadata "response_metadata", role "role",
    text "text", thread_id "thread_id", token_usage "token_usage", tool_call_id "tool_call_id", tool_calls "tool_calls",
    tools "tools", total "total", total_tokens "total_tokens", type_name "__name__", usage "usage",
    usage_metadata "usage_metadata",
}

static NAMES: PyOnceLock<Names> = PyOnceLock::new();

/// Makes the names: at import.
pub(crate) fn init(py: Python<'_>) {
    let _ = NAMES.set(py, Names::new(py));
}

/// The names.
#[inline]
pub(crate) fn names(py: Python<'_>) -> &'static Names {
    NAMES.get_or_init(py, || Names::new(py))
}
