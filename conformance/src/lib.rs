//! Other people's programs against ours; and what the project's own pages promise.

#![forbid(unsafe_code)]

pub mod peers;

/// The examples of the project's README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
