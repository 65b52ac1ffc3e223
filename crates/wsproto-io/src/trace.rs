//! Events for the `tracing` crate, where its feature is on.

/// An event of this crate, at the level that is named first, or `TRACE`.
#[cfg(feature = "tracing")]
macro_rules! trace {
    ($($argument:tt)*) => { ::tracing::trace!(target: "wsproto", $($argument)*) };
}
#[cfg(feature = "tracing")]
macro_rules! debug {
    ($($argument:tt)*) => { ::tracing::debug!(target: "wsproto", $($argument)*) };
}

/// Nothing: the feature `tracing` is off. (The arguments are looked at, but not evaluated.)
#[cfg(not(feature = "tracing"))]
macro_rules! trace {
    ($($argument:tt)*) => { if false { let _ = format_args!($($argument)*); } };
}
#[cfg(not(feature = "tracing"))]
macro_rules! debug {
    ($($argument:tt)*) => { if false { let _ = format_args!($($argument)*); } };
}

pub(crate) use {debug, trace};
