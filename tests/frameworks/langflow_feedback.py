"""Langflow's feedback on a message: a score for its trace, and its removal."""

from __future__ import annotations

import uuid

from langflow.services.tracing.langfuse import delete_feedback_score, sync_feedback_score

kept, gone = uuid.UUID(int=1), uuid.UUID(int=2)
for message in (kept, gone):
    sync_feedback_score(
        message_id=message, trace_id=uuid.UUID(int=7), session_id="s-1", flow_id=None, sender="User", positive_feedback=True
    )
try:
    delete_feedback_score(message_id=gone)
except Exception as error:
    print(type(error).__module__, getattr(error, "status_code", error))
