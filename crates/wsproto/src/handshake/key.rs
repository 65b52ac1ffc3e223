//! The nonce of a client, and the server's proof that it read it (RFC 6455 §1.3, §4.2.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// The value of `Sec-WebSocket-Key`: 16 bytes, "randomly selected", in base64 (RFC 6455 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 24]);

impl Key {
    /// The key of a client with this nonce: "The nonce MUST be selected randomly for each connection" (§4.1).
    #[must_use]
    pub fn new(nonce: [u8; 16]) -> Self {
        let mut key = [0; 24];
        encode(&nonce, &mut key);
        Self(key)
    }

    /// The key that stands in a request: "a base64-encoded (see Section 4 of \[RFC4648\]) value that, when decoded, is 16
    /// bytes in length" (§4.2.1). `None` for all else, also for a value that is not the canonical base64 of its bytes.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut nonce = [0; 18];
        let key = Self(value.try_into().ok()?);
        // This engine wants the padding, and zeros in the bits behind the last byte.
        let length = STANDARD.decode_slice(value, &mut nonce).ok()?;
        (length == 16).then_some(key)
    }

    /// The 24 characters of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// The 28 characters of `Sec-WebSocket-Accept`: the base64 of the SHA-1 of the key and a fixed GUID (§4.2.2).
    #[must_use]
    pub fn accept(&self) -> [u8; 28] {
        const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        let hash = Sha1::new().chain_update(self.0).chain_update(GUID).finalize();
        let mut accept = [0; 28];
        encode(&hash, &mut accept);
        accept
    }
}

/// Base64 of input whose encoded length is known to be that of `output`.
fn encode(input: &[u8], output: &mut [u8]) {
    let written = STANDARD.encode_slice(input, output);
    debug_assert_eq!(written.ok(), Some(input.len().div_ceil(3) * 4));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455() {
        let key = Key::new(*b"the sample nonce");
        assert_eq!(key.as_bytes(), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&key.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(Key::parse(b"dGhlIHNhbXBsZSBub25jZQ=="), Some(key));
    }

    #[test]
    fn only_the_canonical_base64_of_16_bytes_is_a_key() {
        for value in [
            &b""[..],
            b"AAAAAAAAAAAAAAAAAAAA",         // 15 bytes
            b"AAAAAAAAAAAAAAAAAAAAAAA=",     // 17 bytes
            b"AAAAAAAAAAAAAAAAAAAAAAAA",     // 18 bytes
            b"dGhlIHNhbXBsZSBub25jZQ",       // no padding
            b"dGhlIHNhbXBsZSBub25jZQ=",      // half of it
            b"dGhlIHNhbXBsZSBub25jZR==",     // bits behind the last byte
            b"dGhlIHNhbXBsZSBub25j-Q==",     // the other alphabet
            b"dGhlIHNhbXBsZSBub25jZQ==dGhl", // more
            b"dGhlIHNhbXBsZSBub25jZQ== ",
            b" dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBs\xffSBub25jZQ==",
            b"========================",
        ] {
            assert_eq!(Key::parse(value), None, "{}", value.escape_ascii());
        }
    }
}
