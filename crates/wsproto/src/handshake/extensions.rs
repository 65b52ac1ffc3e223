//! Agreeing on the extensions (RFC 6455 §9.1), also where the rest of the handshake happened elsewhere.

use alloc::string::String;
use alloc::vec::Vec;

use super::error::NegotiationError;
use super::headers::{ExtensionList, is_token};
use crate::extension::{Extension, Extensions, Params};

/// For servers: what the client offers, the values of `Sec-WebSocket-Extensions` of its request (one for each header
/// line), judged by what this server has. Back come the value of the header for the response, if there is to be one, and
/// the extensions that a connection is made from.
///
/// The offers are tried in the client's order of preference; for each name the first that is acceptable wins. One that
/// claims a reserved bit which another one already has is declined. A header that is malformed offers nothing; a server
/// that did not check the request before ([`ServerHandshake`](super::ServerHandshake) does) should answer it with 400.
pub fn server_extensions_handshake<'h>(
    requested: impl IntoIterator<Item = &'h str>,
    supported: &[&dyn Extension],
) -> (Option<String>, Extensions) {
    let (answers, extensions) = accept(requested, supported);
    (write_answer(&answers), extensions)
}

/// As [`server_extensions_handshake`], with the elements of the answer.
pub(super) fn accept<'h>(
    requested: impl IntoIterator<Item = &'h str>,
    supported: &[&dyn Extension],
) -> (Vec<Params>, Extensions) {
    let mut extensions = Extensions::none();
    let mut answers: Vec<Params> = Vec::new();
    let requested: Vec<&str> = requested.into_iter().collect();
    let offers = || requested.iter().flat_map(|value| ExtensionList::new(value));
    if offers().any(|offer| offer.is_err()) {
        return (answers, extensions);
    }
    for offer in offers().flatten() {
        if answers.iter().any(|answer| answer.name() == offer.name()) {
            continue;
        }
        let named = supported.iter().filter(|extension| extension.name() == offer.name());
        let answer = named.filter_map(|extension| extension.accept(&offer)).find_map(|(answer, negotiated)| {
            let writable = answer.name() == offer.name() && is_writable(&answer);
            (writable && extensions.push(negotiated).is_ok()).then_some(answer)
        });
        answers.extend(answer);
    }
    (answers, extensions)
}

/// For clients: what the server answered, the values of `Sec-WebSocket-Extensions` of its response (one for each header
/// line), judged by what was offered. Back come the extensions that a connection is made from.
///
/// # Errors
///
/// When the answer does not follow from the offers, by the server's fault: "the client MUST _Fail the WebSocket
/// Connection_" (RFC 6455 §4.1).
pub fn client_extensions_handshake<'h>(
    accepted: impl IntoIterator<Item = &'h str>,
    offered: &[&dyn Extension],
) -> Result<Extensions, NegotiationError> {
    finalize(accepted, offered).map(|(_, extensions)| extensions)
}

/// As [`client_extensions_handshake`], with the elements of the answer.
pub(super) fn finalize<'h>(
    accepted: impl IntoIterator<Item = &'h str>,
    offered: &[&dyn Extension],
) -> Result<(Vec<Params>, Extensions), NegotiationError> {
    let mut extensions = Extensions::none();
    let mut agreed: Vec<Params> = Vec::new();
    for answer in accepted.into_iter().flat_map(ExtensionList::new) {
        let answer = answer.map_err(|_| NegotiationError::Malformed)?;
        if agreed.iter().any(|other| other.name() == answer.name()) {
            return Err(NegotiationError::Repeated);
        }
        let named = || offered.iter().filter(|extension| extension.name() == answer.name());
        named().next().ok_or(NegotiationError::NotOffered)?;
        let negotiated =
            named().find_map(|extension| extension.finalize(&answer)).ok_or(NegotiationError::Parameters)?;
        extensions.push(negotiated).map_err(|_| NegotiationError::RsvConflict)?;
        agreed.push(answer);
    }
    Ok((agreed, extensions))
}

/// The value of the response's header, if there is to be one.
pub(super) fn write_answer(answers: &[Params]) -> Option<String> {
    (!answers.is_empty()).then(|| join(answers))
}

/// The value of the header, or `None` where a name or a parameter is not a token.
pub(super) fn write_offers(offers: &[Params]) -> Option<String> {
    offers.iter().all(is_writable).then(|| join(offers))
}

fn is_writable(params: &Params) -> bool {
    is_token(params.name()) && params.iter().all(|(name, value)| is_token(name) && value.is_none_or(is_token))
}

fn join(list: &[Params]) -> String {
    let list: Vec<_> = list.iter().map(|params| alloc::format!("{params}")).collect();
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Negotiated;

    /// Says yes to everything, with an answer of its own.
    struct Answers(&'static str, Params);

    impl Extension for Answers {
        fn name(&self) -> &str {
            self.0
        }

        fn offers(&self) -> Vec<Params> {
            Vec::new()
        }

        fn accept(&self, _: &Params) -> Option<(Params, Negotiated)> {
            Some((self.1.clone(), identity::negotiated()))
        }

        fn finalize(&self, _: &Params) -> Option<Negotiated> {
            None
        }
    }

    mod identity {
        use crate::error::ExtensionError;
        use crate::extension::{Decoder, Encoder, End, FrameInfo, Negotiated, Progress};
        use crate::frame::Rsv;
        use alloc::boxed::Box;
        use alloc::vec::Vec;

        struct Identity;

        impl Decoder for Identity {
            fn start_frame(&mut self, _: FrameInfo, _: Rsv) -> Result<bool, ExtensionError> {
                Ok(false)
            }

            fn decode(&mut self, input: &[u8], _: End, _: &mut [u8]) -> Result<Progress, ExtensionError> {
                Ok(Progress { consumed: input.len(), produced: 0, more: false })
            }
        }

        impl Encoder for Identity {
            fn start_frame(&mut self, _: FrameInfo, _: usize, _: bool) -> Option<Rsv> {
                None
            }

            fn encode(&mut self, _: &[u8], _: End, _: &mut Vec<u8>) -> Result<(), ExtensionError> {
                Ok(())
            }
        }

        pub(super) fn negotiated() -> Negotiated {
            Negotiated { rsv: Rsv::NONE, decoder: Box::new(Identity), encoder: Box::new(Identity) }
        }
    }

    #[test]
    fn an_answer_that_cannot_be_written_declines() {
        let answers = [
            ("a", Params::new("a").with("x\r\ny")),
            ("b", Params::new("b").with_value("x", "")),
            ("c", Params::new("other")),
            ("d", Params::new("d").with("x").with_value("y", "1")),
            ("e", Params::new("e\0")),
        ];
        let supported: Vec<Answers> = answers.into_iter().map(|(name, answer)| Answers(name, answer)).collect();
        let supported: Vec<&dyn Extension> = supported.iter().map(|extension| extension as &dyn Extension).collect();
        let (answer, extensions) = server_extensions_handshake(["a, b, c", "d, e"], &supported);
        assert_eq!((answer.as_deref(), extensions.len()), (Some("d; x; y=1"), 1));
        assert_eq!(client_extensions_handshake(["d"], &supported).err(), Some(NegotiationError::Parameters));
    }

    #[test]
    fn without_a_header_there_are_no_extensions() {
        assert!(server_extensions_handshake([], &[]).0.is_none());
        assert!(client_extensions_handshake([], &[]).is_ok_and(|extensions| extensions.is_empty()));
        assert_eq!(write_offers(&[]).as_deref(), Some(""));
        assert_eq!(write_offers(&[Params::new("a b")]), None);
    }
}
