//! The pipeline in virtual time: a scripted transport and a manual clock, no thread and no socket.

mod controls;
mod fairness;
mod flushes;
mod outcomes;
mod properties;
mod script;
mod uploads;
