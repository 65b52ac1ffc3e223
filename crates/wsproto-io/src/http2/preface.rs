//! Which version of HTTP a client begins with.

use std::io;

use super::batching::Batching;
use crate::tokio::{Transport, read};

/// How a client of HTTP/2 begins (RFC 9113 §3.4). No request of HTTP/1.1 begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client begins with, and what was read for that.
pub(crate) enum Begun {
    Http1(Transport, Vec<u8>),
    Http2(Batching<Transport>),
}

/// Tells the version: under TLS by what was agreed on (ALPN), else by the first bytes.
pub(crate) async fn tell(mut transport: Transport) -> io::Result<Begun> {
    let mut first = Vec::new();
    if transport.agreed_on_http2() {
        return Ok(Begun::Http2(Batching::new(transport, first)));
    }
    if !matches!(transport, Transport::Tcp(_)) {
        return Ok(Begun::Http1(transport, first));
    }
    while PREFACE.starts_with(&first) && first.len() < PREFACE.len() {
        let n = read(&mut transport, |bytes| {
            first.extend_from_slice(bytes);
            bytes.len()
        });
        if n.await? == 0 {
            break;
        }
    }
    Ok(if first.starts_with(PREFACE) {
        Begun::Http2(Batching::new(transport, first))
    } else {
        Begun::Http1(transport, first)
    })
}
