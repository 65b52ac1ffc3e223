//! File descriptors: each connection takes one.

/// Raises their limit as far as the system lets everybody do so.
pub(crate) fn raise_limit() {
    #[cfg(unix)]
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        use std::io::Write as _;

        // Whoever closed standard error does not want it.
        let _ = writeln!(std::io::stderr(), "wsproto: the limit of file descriptors stays as it is: {error}");
    }
}
