//! What is tried with each peer, and what is expected.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use wsproto_io::Message;

use super::payload::Kind;

/// `conformance/peers/cases.json`.
#[derive(Debug, Deserialize)]
pub struct Cases {
    /// How connections are made, by name.
    pub modes: BTreeMap<String, Mode>,
    /// What is tried in each mode.
    pub cases: Vec<Case>,
    deviations: Vec<Deviation>,
}

impl Cases {
    /// Reads the list, which is compiled in.
    ///
    /// # Errors
    ///
    /// The list is not as it should be.
    pub fn load() -> Result<Self, serde_json::Error> {
        serde_json::from_str(include_str!("../../peers/cases.json"))
    }

    /// What is expected of this case with this peer in this role: as the case says, but for the known deviations.
    #[must_use]
    pub fn check(&self, peer: &str, role: &str, http: HttpVersion, case: &Case) -> Check<'_> {
        let mut check = Check { left_out: None, overrides: Vec::new() };
        let known = self.deviations.iter().filter(|deviation| {
            let here =
                deviation.peer == peer && deviation.role == role && deviation.http.is_none_or(|only| only == http);
            here && deviation.cases.contains(&case.name)
        });
        for deviation in known {
            match &deviation.expect {
                None => check.left_out = Some(&deviation.why),
                Some(expect) => check.overrides.extend(expect.iter()),
            }
        }
        check
    }
}

/// How connections are made.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Mode {
    /// By which version of HTTP.
    pub http: HttpVersion,
    /// With permessage-deflate.
    pub deflate: bool,
    /// Over TLS.
    pub tls: bool,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum HttpVersion {
    /// A connection for each WebSocket.
    #[serde(rename = "1.1")]
    One,
    /// A stream for each WebSocket (RFC 8441).
    #[serde(rename = "2")]
    Two,
}

/// One thing that is tried.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// As it is typed.
    pub name: String,
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
}

/// What is done. The names of the fields are those of `cases.json`.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Action {
    /// The client sends a message, the server sends it back.
    Echo { kind: Kind, size: usize },
    /// The client sends one message in fragments of these sizes.
    FragmentsByClient { kind: Kind, sizes: Vec<usize> },
    /// The server echoes in fragments of that size.
    FragmentsByServer { kind: Kind, size: usize, piece: usize },
    /// The client sends a Ping, and gets its Pong.
    PingByClient { payload: String },
    /// The server sends a Ping, and reports its Pong.
    PingByServer { payload: String },
    /// The client offers these, and both ends agree on that one.
    Subprotocol { offer: Vec<String>, agreed: Option<String> },
    /// The client opens so many connections, then sends a message on each, which the server sends back.
    AtATime { connections: u64, kind: Kind, size: usize },
    /// The client closes; both ends tell what they received.
    CloseByClient { code: u16, reason: String },
    /// The server closes; both ends tell what they received.
    CloseByServer { code: u16, reason: String },
}

/// Something that a peer does in another way, exactly.
#[derive(Debug, Deserialize)]
struct Deviation {
    peer: String,
    role: String,
    /// Only by this version of HTTP.
    http: Option<HttpVersion>,
    cases: Vec<String>,
    /// What is seen instead, by the name of what is seen; none where the case cannot be tried.
    expect: Option<BTreeMap<String, Value>>,
    why: String,
}

/// What is expected in one case of one peer.
#[derive(Debug)]
pub struct Check<'c> {
    /// Why the case cannot be tried.
    pub left_out: Option<&'c str>,
    overrides: Vec<(&'c String, &'c Value)>,
}

impl Check<'_> {
    /// Compares, by the name of what is compared.
    ///
    /// # Errors
    ///
    /// They differ: says what was expected, and what there is.
    pub fn equal(&self, what: &str, mut expected: Value, got: &Value) -> Result<(), String> {
        for (_, value) in self.overrides.iter().filter(|(name, _)| *name == what) {
            match (&mut expected, value) {
                (Value::Object(expected), Value::Object(fields)) => expected.extend(fields.clone()),
                (expected, value) => expected.clone_from(value),
            }
        }
        if expected == *got { Ok(()) } else { Err(format!("{what}: expected {expected}, got {got}")) }
    }

    /// Compares messages, their kind and every byte.
    ///
    /// # Errors
    ///
    /// They differ: says where.
    pub fn message(&self, expected: &Message, got: Option<&Message>) -> Result<(), String> {
        let Some(got) = got else { return Err(format!("message: expected {}, got the end", show(expected))) };
        if expected == got {
            return Ok(());
        }
        let (a, b) = (expected.as_bytes(), got.as_bytes());
        let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        Err(format!("message: expected {}, got {}; they differ at {same}", show(expected), show(got)))
    }
}

/// A message as one short line.
fn show(message: &Message) -> String {
    let bytes = message.as_bytes();
    let start = match message {
        Message::Text(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        Message::Binary(bytes) => format!("{:02x?}", &bytes[..bytes.len().min(20)]),
    };
    format!("{:?} of {} bytes, {start}…", message.kind(), bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_list_of_cases_is_complete() {
        let cases = Cases::load().unwrap();
        assert_eq!(cases.modes.len(), 6);
        for kind in ["text", "binary"] {
            for size in [0, 125, 126, 65_535, 65_536, 4 << 20] {
                let found = cases.cases.iter().any(|case| match &case.action {
                    Action::Echo { kind: k, size: s } => *s == size && k.name() == kind,
                    _ => false,
                });
                assert!(found, "{kind} {size}");
            }
        }
        for deviation in &cases.deviations {
            for name in &deviation.cases {
                assert!(cases.cases.iter().any(|case| case.name == *name), "a deviation in a case {name}");
            }
        }
    }

    #[test]
    fn a_deviation_replaces_what_is_expected_and_is_as_exact() {
        let cases = Cases::load().unwrap();
        let find = |name| cases.cases.iter().find(|case| case.name == name).unwrap();
        let check = cases.check("aiohttp", "server", HttpVersion::One, find("close-by-client-reason"));
        let close = |code, reason| json!({"code": code, "reason": reason});
        assert_eq!(check.equal("reply", close(4001, "bye"), &close(1000, "")), Ok(()));
        assert!(check.equal("reply", close(4001, "bye"), &close(4001, "bye")).is_err());
        assert!(check.equal("seen at the server", close(4001, "bye"), &close(1000, "")).is_err());
        let check = cases.check("aiohttp", "server", HttpVersion::One, find("close-by-server"));
        let told = json!({"code": 4002, "reason": null});
        assert_eq!(check.equal("reply at the server", close(4002, "bye"), &told), Ok(()));
        assert!(
            cases.check("aiohttp", "server", HttpVersion::One, find("fragments-by-server-text")).left_out.is_some()
        );
        assert!(cases.check("ws", "server", HttpVersion::One, find("fragments-by-server-text")).left_out.is_none());
        let many = |http| cases.check("hypercorn", "server", http, find("fifty-at-a-time")).left_out.is_some();
        assert_eq!((many(HttpVersion::One), many(HttpVersion::Two)), (false, true));
    }

    #[test]
    fn a_wrong_byte_and_a_wrong_kind_are_seen() {
        let cases = Cases::load().unwrap();
        let check = cases.check("ws", "server", HttpVersion::One, &cases.cases[0]);
        let text = Message::Text("abc".into());
        assert_eq!(check.message(&text, Some(&text)), Ok(()));
        assert!(check.message(&text, Some(&Message::Text("abd".into()))).unwrap_err().ends_with("they differ at 2"));
        assert!(check.message(&text, Some(&Message::Binary("abc".into()))).is_err());
        assert!(check.message(&text, None).is_err());
    }
}
