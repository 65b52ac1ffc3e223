//! What is asked of a peer server: a path and a query.

use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A request's target. What the paths mean stands in `conformance/peers/README.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// From its `/` on.
    pub path: String,
    query: BTreeMap<String, String>,
}

impl Target {
    /// A path without a query.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), query: BTreeMap::new() }
    }

    /// Adds a field of the query.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.query.insert(name.to_owned(), value.to_string());
        self
    }

    /// Reads a target as a form writes it: percent-encoded, with `+` for a space.
    #[must_use]
    pub fn parse(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let fields = query.split('&').filter_map(|field| field.split_once('='));
        Self { path: path.to_owned(), query: fields.map(|(name, value)| (decode(name), decode(value))).collect() }
    }

    /// A field of the query.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        for (n, (name, value)) in self.query.iter().enumerate() {
            let separator = if n == 0 { '?' } else { '&' };
            write!(f, "{separator}{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_was_written() {
        let target = Target::new("/close").with("code", 4001).with("reason", "até já & 1+1=2 😀").with("id", "");
        assert_eq!(Target::parse(&target.to_string()), target);
        assert_eq!(Target::parse("/close?reason=a+b%2B").field("reason"), Some("a b+"));
        assert_eq!(Target::parse("/echo").field("reason"), None);
    }
}
