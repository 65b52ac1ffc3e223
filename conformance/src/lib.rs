//! Other people's programs against ours; proofs of back-pressure and endurance; and what the project's own pages promise.
//!
//! | file | what it holds |
//! |---|---|
//! | `faults.rs` | a TCP proxy that breaks connections on request |
//! | `numbered.rs` | messages that show what was lost, doubled, reordered or changed |
//! | `peers/` | what is tried with other people's libraries |
//! | `process.rs` | the memory and the CPU time of a process |

#![forbid(unsafe_code)]

pub mod faults;
pub mod numbered;
pub mod peers;
pub mod process;

/// The examples of the project's README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
