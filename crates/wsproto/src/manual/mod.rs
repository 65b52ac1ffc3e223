//! The manual: how the pieces are used together, page by page.
//!
//! Begin with the [run loop](run_loop), then [back-pressure](back_pressure). Each example is compiled and run.

#[doc = include_str!("run_loop.md")]
pub mod run_loop {}

#[doc = include_str!("back_pressure.md")]
pub mod back_pressure {}

#[cfg(feature = "deflate")]
#[doc = include_str!("post_handshake.md")]
pub mod post_handshake {}

#[cfg(feature = "deflate")]
#[doc = include_str!("http2.md")]
pub mod http2 {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[cfg(feature = "deflate")]
#[doc = include_str!("extensions.md")]
pub mod extensions {}

#[doc = include_str!("from_python.md")]
pub mod from_python {}

#[doc = include_str!("from_tungstenite.md")]
pub mod from_tungstenite {}
