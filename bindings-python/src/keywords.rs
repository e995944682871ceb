//! Keyword arguments of the calls that are not worth a parsed signature each.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{Given, shown};
use crate::notices::problem;
use crate::value::for_each_item;

macro_rules! keywords {
    ($($given:ident),* ; $($other:ident),*) => {
        /// What was passed by name; `None` counts as not passed.
        #[derive(Default)]
        pub(crate) struct Keywords<'py> {
            $($given: Option<Bound<'py, PyAny>>,)*
            $(pub(crate) $other: Option<Bound<'py, PyAny>>,)*
        }

        impl<'py> Keywords<'py> {
            fn slot(&mut self, name: &str) -> Option<&mut Option<Bound<'py, PyAny>>> {
                match name {
                    $(stringify!($given) => Some(&mut self.$given),)*
                    $(stringify!($other) => Some(&mut self.$other),)*
                    _ => None,
                }
            }

            /// The values of an observation among them.
            pub(crate) fn given(&self) -> Given<'_, 'py> {
                Given { $($given: self.$given.as_ref(),)* }
            }
        }
    };
}

keywords! {
    input, output, metadata, version, level, status_message, completion_start_time, model, model_parameters, usage_details,
    cost_details, prompt;
    name, as_type, trace_context, end_on_exit
}

impl<'py> Keywords<'py> {
    /// Reads a call's keywords; unknown ones are told.
    pub(crate) fn read(function: &str, public_key: &str, given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        let mut keywords = Self::default();
        let Some(given) = given else { return Ok(keywords) };
        for_each_item(given, |name, value| {
            let name = name.extract::<&str>().unwrap_or_default();
            match keywords.slot(name) {
                Some(_) if value.is_none() => {}
                Some(slot) => *slot = Some(value.clone()),
                None => problem(public_key, format!("{function} has no argument {:?}; it is ignored", shown(name))),
            }
            Ok(())
        })?;
        Ok(keywords)
    }

    /// Whether leaving the block ends the observation.
    pub(crate) fn end_on_exit(&self) -> bool {
        self.end_on_exit.as_ref().is_none_or(|flag| flag.is_truthy().unwrap_or(true))
    }
}
