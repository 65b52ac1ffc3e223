//! The command as a whole.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use support::{run, text};

#[test]
fn bad_arguments_are_explained() {
    for arguments in [
        &["serve", "--listen", "nonsense"][..],
        &["serve", "--max-message-size", "-1"],
        &["connect"],
        &["connect", "ws://x/", "--timeout", "0"],
        &["connect", "ws://x/", "--timeout", "soon"],
        &["connect", "ws://x/", "--timeout", "-1"],
        &["connect", "ws://x/", "--timeout", "NaN"],
        &["dance"],
    ] {
        let output = run(arguments, b"");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
    }
}
