//! One element of `Sec-WebSocket-Extensions` (RFC 6455 §9.1): an offer of the client, or an answer of the server.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A name with parameters, such as `permessage-deflate; client_max_window_bits=12`.
///
/// Names and values are tokens (RFC 9110 §5.6.2). Those that were received are; those that you make are
/// checked when they are written into a handshake, which refuses them otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Params {
    name: String,
    list: Vec<(String, Option<String>)>,
}

impl Params {
    /// An element with this name and no parameters.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), list: Vec::new() }
    }

    /// The same with a parameter that has no value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>) -> Self {
        self.list.push((name.into(), None));
        self
    }

    /// The same with a parameter that has a value.
    #[must_use]
    pub fn with_value(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.list.push((name.into(), Some(value.into())));
        self
    }

    /// The extension's name, as it was written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters in their order, with repetitions, each with its value (quotes removed) or without one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.list.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in self.iter() {
            write!(f, "; {name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}
