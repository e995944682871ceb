"""Modules that programs import although their name says that they should not."""
