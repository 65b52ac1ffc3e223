//! The four parameters (RFC 7692 §7.1): what one end asks for, and what both agree on.

use alloc::string::ToString;

use crate::extension::Params;

/// The name under which the extension is registered.
pub(super) const NAME: &str = "permessage-deflate";

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The window where nothing was said, 2^15 bytes.
const LARGEST: u8 = 15;

/// The window that we compress with, and a server answers with, where nobody wished for another.
const USUAL: u8 = 12;

/// What a client offers, or a server's policy.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<u8>,
    pub(super) client_max_window_bits: Option<u8>,
    /// For a client: not to offer `client_max_window_bits`.
    pub(super) fixed_client_window: bool,
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    /// How the server compresses.
    pub(super) server: Direction,
    /// How the client compresses.
    pub(super) client: Direction,
}

/// One direction of an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    /// Whether a message may refer to those before.
    pub(super) takeover: bool,
    /// Bits of the window, 8 to 15.
    pub(super) bits: u8,
}

impl Agreement {
    /// For the client, where an answer suits two of its offers, either of which may be the one that was accepted: it
    /// keeps the promises of both. (How the server compresses is in the answer alone.)
    pub(super) fn or(self, other: Self) -> Self {
        let client = Direction {
            takeover: self.client.takeover && other.client.takeover,
            bits: self.client.bits.min(other.client.bits),
        };
        Self { client, ..self }
    }
}

impl Terms {
    /// The offer of a client.
    pub(super) fn offer(&self) -> Params {
        let mut offer = Params::new(NAME);
        if self.server_no_context_takeover {
            offer = offer.with(SERVER_NO_CONTEXT_TAKEOVER);
        }
        if self.client_no_context_takeover {
            offer = offer.with(CLIENT_NO_CONTEXT_TAKEOVER);
        }
        if let Some(bits) = self.server_max_window_bits {
            offer = offer.with_value(SERVER_MAX_WINDOW_BITS, bits.to_string());
        }
        match self.client_max_window_bits {
            _ if self.fixed_client_window => offer,
            Some(bits) => offer.with_value(CLIENT_MAX_WINDOW_BITS, bits.to_string()),
            None => offer.with(CLIENT_MAX_WINDOW_BITS),
        }
    }

    /// A server's answer to an offer, or `None` to decline it.
    ///
    /// "A server MUST decline an extension negotiation offer for this extension if any of the following conditions
    /// are met" (§7): a parameter that is not defined for offers, one with an invalid value, several with the same
    /// name, or what the server does not support, which for us is nothing.
    pub(super) fn accept(&self, offer: &Params) -> Option<(Params, Agreement)> {
        let offer = Parsed::new(offer)?;
        let mut answer = Params::new(NAME);

        // Both may be answered where they were not offered (§7.1.1.1, §7.1.1.2).
        let server_takeover = !(offer.server_no_context_takeover || self.server_no_context_takeover);
        let client_takeover = !(offer.client_no_context_takeover || self.client_no_context_takeover);
        if !server_takeover {
            answer = answer.with(SERVER_NO_CONTEXT_TAKEOVER);
        }
        if !client_takeover {
            answer = answer.with(CLIENT_NO_CONTEXT_TAKEOVER);
        }

        // "[...] with the same or smaller value as the offer" (§7.1.2.1), and also without an offer.
        let wished = self.server_max_window_bits.unwrap_or(USUAL);
        let server_bits = match offer.server_max_window_bits {
            // The parameter has "a decimal integer value" (§7.1.2.1), which is missing here.
            Some(None) => return None,
            Some(Some(offered)) => wished.min(offered),
            None => wished,
        };
        if server_bits < LARGEST || offer.server_max_window_bits.is_some() {
            answer = answer.with_value(SERVER_MAX_WINDOW_BITS, server_bits.to_string());
        }

        // Where the offer does not have it, "the corresponding extension negotiation response to the offer MUST NOT
        // include" it (§7.1.2.2).
        let client_bits = match offer.client_max_window_bits {
            Some(offered) => {
                let bits = self.client_max_window_bits.unwrap_or(USUAL).min(offered.unwrap_or(LARGEST));
                answer = answer.with_value(CLIENT_MAX_WINDOW_BITS, bits.to_string());
                bits
            }
            None => LARGEST,
        };

        let server = Direction { takeover: server_takeover, bits: server_bits };
        let client = Direction { takeover: client_takeover, bits: client_bits };
        Some((answer, Agreement { server, client }))
    }

    /// What a server's answer to this offer makes, or `None` where it is no answer to it.
    pub(super) fn finalize(&self, answer: &Params) -> Option<Agreement> {
        let answer = Parsed::new(answer)?;

        // Who accepts this offer must say so (§7.1.1.1); it may also be answered unasked.
        if self.server_no_context_takeover && !answer.server_no_context_takeover {
            return None;
        }
        // What the client offered for itself is a hint: it keeps to it, whatever the answer is (§7.1.1.2).
        let client_takeover = !(answer.client_no_context_takeover || self.client_no_context_takeover);

        // In an answer both bits have values (§7.1.2).
        let server_bits = match (self.server_max_window_bits, answer.server_max_window_bits) {
            (None, None) => LARGEST,
            (None, Some(Some(bits))) => bits,
            (Some(asked), Some(Some(bits))) if bits <= asked => bits,
            _ => return None,
        };

        let largest = self.client_max_window_bits.unwrap_or(LARGEST);
        let client_bits = match answer.client_max_window_bits {
            None => self.client_max_window_bits.unwrap_or(USUAL),
            Some(Some(bits)) if !self.fixed_client_window && bits <= largest => {
                bits.min(self.client_max_window_bits.unwrap_or(USUAL))
            }
            Some(_) => return None,
        };

        let server = Direction { takeover: !answer.server_no_context_takeover, bits: server_bits };
        let client = Direction { takeover: client_takeover, bits: client_bits };
        Some(Agreement { server, client })
    }
}

/// The parameters of an offer or answer, known and each at most once.
#[derive(Default)]
struct Parsed {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    /// `Some(None)` where there is no value.
    server_max_window_bits: Option<Option<u8>>,
    client_max_window_bits: Option<Option<u8>>,
}

impl Parsed {
    fn new(params: &Params) -> Option<Self> {
        let mut parsed = Self::default();
        for (name, value) in params.iter() {
            let again = match name {
                SERVER_NO_CONTEXT_TAKEOVER => set(&mut parsed.server_no_context_takeover, value)?,
                CLIENT_NO_CONTEXT_TAKEOVER => set(&mut parsed.client_no_context_takeover, value)?,
                SERVER_MAX_WINDOW_BITS => parsed.server_max_window_bits.replace(bits(value)?).is_some(),
                CLIENT_MAX_WINDOW_BITS => parsed.client_max_window_bits.replace(bits(value)?).is_some(),
                _ => return None,
            };
            if again {
                return None;
            }
        }
        Some(parsed)
    }
}

/// A parameter without a value; back comes whether it was there before.
fn set(flag: &mut bool, value: Option<&str>) -> Option<bool> {
    value.is_none().then(|| core::mem::replace(flag, true))
}

/// "[...] a decimal integer value without leading zeroes between 8 to 15, inclusive" (§7.1.2.1), or no value.
fn bits(value: Option<&str>) -> Option<Option<u8>> {
    let Some(value) = value else { return Some(None) };
    match value {
        "8" => Some(Some(8)),
        "9" => Some(Some(9)),
        "10" => Some(Some(10)),
        "11" => Some(Some(11)),
        "12" => Some(Some(12)),
        "13" => Some(Some(13)),
        "14" => Some(Some(14)),
        "15" => Some(Some(15)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    const NOTHING: Terms = Terms {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: None,
        client_max_window_bits: None,
        fixed_client_window: false,
    };

    /// "a; b=1" as the parameters of an element.
    fn params(text: &str) -> Params {
        let mut params = Params::new(NAME);
        for parameter in text.split(';').map(str::trim).filter(|parameter| !parameter.is_empty()) {
            params = match parameter.split_once('=') {
                Some((name, value)) => params.with_value(name, value),
                None => params.with(parameter),
            };
        }
        params
    }

    fn text(params: &Params) -> String {
        params.to_string().trim_start_matches(NAME).trim_start_matches("; ").into()
    }

    /// (takeover, bits) of the server, then of the client.
    fn agreed(agreement: Agreement) -> [(bool, u8); 2] {
        [(agreement.server.takeover, agreement.server.bits), (agreement.client.takeover, agreement.client.bits)]
    }

    const NOT_BITS: [&str; 16] =
        ["", "0", "7", "16", "08", "+8", "-8", " 8", "8 ", "8.0", "0x8", "1e1", "115", "256", "264", "٨"];

    #[test]
    fn h17_a_server_declines_what_breaks_the_rules() {
        for name in [SERVER_MAX_WINDOW_BITS, CLIENT_MAX_WINDOW_BITS] {
            for value in NOT_BITS {
                assert!(NOTHING.accept(&Params::new(NAME).with_value(name, value)).is_none(), "{name}={value:?}");
            }
            let twice = Params::new(NAME).with_value(name, "10").with_value(name, "10");
            assert!(NOTHING.accept(&twice).is_none());
        }
        for offer in [
            "server_max_window_bits",
            "client_max_window_bits; client_max_window_bits",
            "client_max_window_bits; client_max_window_bits=9",
            "server_no_context_takeover=true",
            "client_no_context_takeover=1",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "client_max_window_bits; unknown",
            "unknown=1",
            "Server_No_Context_Takeover",
        ] {
            assert!(NOTHING.accept(&params(offer)).is_none(), "{offer}");
        }
        assert!(NOTHING.accept(&Params::new(NAME).with_value(SERVER_NO_CONTEXT_TAKEOVER, "")).is_none());
    }

    #[test]
    fn h17_what_a_server_answers() {
        let own = |server, client| Terms { server_max_window_bits: server, client_max_window_bits: client, ..NOTHING };
        let forgetful = Terms { server_no_context_takeover: true, client_no_context_takeover: true, ..NOTHING };
        for (policy, offer, answer, server, client) in [
            (NOTHING, "", "server_max_window_bits=12", (true, 12), (true, 15)),
            (
                NOTHING,
                "client_max_window_bits",
                "server_max_window_bits=12; client_max_window_bits=12",
                (true, 12),
                (true, 12),
            ),
            (
                NOTHING,
                "client_max_window_bits=10; server_max_window_bits=8",
                "server_max_window_bits=8; client_max_window_bits=10",
                (true, 8),
                (true, 10),
            ),
            (
                NOTHING,
                "server_max_window_bits=15; client_max_window_bits=15",
                "server_max_window_bits=12; client_max_window_bits=12",
                (true, 12),
                (true, 12),
            ),
            (
                NOTHING,
                "server_no_context_takeover; client_no_context_takeover",
                "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
                (false, 12),
                (false, 15),
            ),
            (
                forgetful,
                "",
                "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
                (false, 12),
                (false, 15),
            ),
            (own(Some(15), Some(15)), "", "", (true, 15), (true, 15)),
            (
                own(Some(15), Some(15)),
                "client_max_window_bits; server_max_window_bits=15",
                "server_max_window_bits=15; client_max_window_bits=15",
                (true, 15),
                (true, 15),
            ),
            (
                own(Some(9), Some(8)),
                "client_max_window_bits",
                "server_max_window_bits=9; client_max_window_bits=8",
                (true, 9),
                (true, 8),
            ),
            (own(Some(9), Some(8)), "", "server_max_window_bits=9", (true, 9), (true, 15)),
        ] {
            let (given, agreement) = policy.accept(&params(offer)).expect(offer);
            assert_eq!(text(&given), answer, "{offer}");
            assert_eq!(agreed(agreement), [server, client], "{offer}");
        }
    }

    #[test]
    fn h17_what_a_client_takes_for_an_answer() {
        let own = |server, client| Terms { server_max_window_bits: server, client_max_window_bits: client, ..NOTHING };
        let fixed = Terms { fixed_client_window: true, ..NOTHING };
        let demanding = Terms { server_no_context_takeover: true, ..NOTHING };
        let hinting = Terms { client_no_context_takeover: true, ..NOTHING };
        let refused = None;
        for (offer, answer, agreement) in [
            (NOTHING, "", Some([(true, 15), (true, 12)])),
            (NOTHING, "server_max_window_bits=8", Some([(true, 8), (true, 12)])),
            (NOTHING, "client_max_window_bits=8", Some([(true, 15), (true, 8)])),
            (NOTHING, "client_max_window_bits=15", Some([(true, 15), (true, 12)])),
            (NOTHING, "client_max_window_bits", refused),
            (NOTHING, "server_max_window_bits", refused),
            (NOTHING, "server_no_context_takeover", Some([(false, 15), (true, 12)])),
            (NOTHING, "client_no_context_takeover", Some([(true, 15), (false, 12)])),
            (NOTHING, "unknown", refused),
            (NOTHING, "client_no_context_takeover; client_no_context_takeover", refused),
            (NOTHING, "client_no_context_takeover=1", refused),
            (fixed, "", Some([(true, 15), (true, 12)])),
            (fixed, "client_max_window_bits=15", refused),
            (demanding, "", refused),
            (demanding, "server_no_context_takeover", Some([(false, 15), (true, 12)])),
            (hinting, "", Some([(true, 15), (false, 12)])),
            (hinting, "client_no_context_takeover", Some([(true, 15), (false, 12)])),
            (own(Some(10), None), "", refused),
            (own(Some(10), None), "server_max_window_bits=11", refused),
            (own(Some(10), None), "server_max_window_bits=10", Some([(true, 10), (true, 12)])),
            (own(Some(10), None), "server_max_window_bits=9", Some([(true, 9), (true, 12)])),
            (own(None, Some(10)), "client_max_window_bits=11", refused),
            (own(None, Some(10)), "client_max_window_bits=9", Some([(true, 15), (true, 9)])),
            (own(None, Some(10)), "", Some([(true, 15), (true, 10)])),
            (own(None, Some(14)), "", Some([(true, 15), (true, 14)])),
        ] {
            assert_eq!(offer.finalize(&params(answer)).map(agreed), agreement, "{offer:?} {answer}");
        }
        for name in [SERVER_MAX_WINDOW_BITS, CLIENT_MAX_WINDOW_BITS] {
            for value in NOT_BITS {
                assert!(NOTHING.finalize(&Params::new(NAME).with_value(name, value)).is_none(), "{name}={value:?}");
            }
        }
    }

    /// All offers against all policies: the client takes each answer, and both ends agree, up to what the client
    /// keeps to by itself.
    #[test]
    fn h17_each_answer_of_ours_is_legal_for_each_offer_of_ours() {
        let bits = || [None].into_iter().chain((8..=15).map(Some));
        let mut all = alloc::vec![];
        for flags in 0..8 {
            for server_max_window_bits in bits() {
                for client_max_window_bits in bits() {
                    all.push(Terms {
                        server_no_context_takeover: flags & 1 != 0,
                        client_no_context_takeover: flags & 2 != 0,
                        server_max_window_bits,
                        client_max_window_bits,
                        fixed_client_window: flags & 4 != 0,
                    });
                }
            }
        }
        for client in &all {
            let offer = client.offer();
            for server in &all {
                let (answer, theirs) = server.accept(&offer).expect("an offer of ours is legal");
                let ours = client.finalize(&answer).expect("an answer of ours is legal");
                assert_eq!(ours.server, theirs.server);
                assert_eq!(ours.client.takeover, theirs.client.takeover);
                assert!(ours.client.bits <= theirs.client.bits);
            }
        }
    }
}
