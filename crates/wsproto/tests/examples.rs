//! The examples, run.

#![cfg(all(feature = "deflate", feature = "getrandom"))]
#![allow(missing_docs)]

#[path = "../examples/post_handshake.rs"]
#[allow(dead_code)]
mod post_handshake;

#[test]
fn post_handshake() {
    // It asserts what both ends heard.
    assert!(post_handshake::main().is_ok());
}
