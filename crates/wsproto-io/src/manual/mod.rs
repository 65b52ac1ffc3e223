//! The manual of the driver for tokio, page by page. Each example is compiled.
//!
//! The protocol itself has its own: [`wsproto::manual`].

#[doc = include_str!("back_pressure.md")]
pub mod back_pressure {}

#[doc = include_str!("chat.md")]
#[doc = "```no_run"]
#[doc = include_str!("../../examples/chat.rs")]
#[doc = "```"]
pub mod chat {}

#[doc = include_str!("streaming.md")]
pub mod streaming {}

#[cfg(feature = "tls")]
#[doc = include_str!("in_the_world.md")]
pub mod in_the_world {}

#[cfg(all(feature = "axum", feature = "tls"))]
#[doc = include_str!("coming_from.md")]
pub mod coming_from {}
