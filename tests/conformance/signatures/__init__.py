"""The public signatures of Langfuse's SDK in three major versions, beside ours."""
