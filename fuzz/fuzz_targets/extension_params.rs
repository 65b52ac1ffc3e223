//! `Sec-WebSocket-Extensions`: any text is judged without a panic, and two ends of ours always agree and then
//! understand each other.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wsproto::extension::{Extension, PerMessageDeflate};
use wsproto::frame::Role;
use wsproto::{client_extensions_handshake, server_extensions_handshake};
use wsproto_fuzz::core::{connection, say_twice};

#[derive(Arbitrary, Debug)]
struct Config {
    server_forgets: bool,
    client_forgets: bool,
    server_bits: Option<u8>,
    client_bits: Option<u8>,
    fixed: bool,
}

#[derive(Arbitrary, Debug)]
enum Given {
    /// Headers, one a line. The seeds are of this kind.
    Text(String),
    Params(Vec<Param>),
    Ours {
        client: Config,
        fallback: Option<Config>,
        server: Config,
    },
}

#[derive(Arbitrary, Debug)]
struct Param {
    name: u8,
    value: Option<Value>,
    separator: u8,
}

#[derive(Arbitrary, Debug)]
enum Value {
    Number(u8),
    Quoted(u8),
    Text(String),
}

const NAMES: [&str; 6] = [
    "permessage-deflate",
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
    "x-other",
];

fn config(config: &Config) -> PerMessageDeflate {
    let deflate = PerMessageDeflate::new()
        .server_no_context_takeover(config.server_forgets)
        .client_no_context_takeover(config.client_forgets);
    let bits = |bits: u8| 8 + bits % 8;
    let deflate = match config.server_bits {
        Some(n) => deflate.server_max_window_bits(bits(n)).expect("in range"),
        None => deflate,
    };
    match config.client_bits {
        _ if config.fixed => deflate.fixed_client_window(),
        Some(n) => deflate.client_max_window_bits(bits(n)).expect("in range"),
        None => deflate,
    }
}

fn judge(lines: &[String]) {
    let lines = || lines.iter().map(String::as_str);
    let deflate = PerMessageDeflate::new();
    let (answer, extensions) = server_extensions_handshake(lines(), &[&deflate]);
    assert_eq!(answer.is_some(), !extensions.is_empty());
    if let Some(answer) = &answer {
        // What we answer is an answer: one element, with a name and legal values.
        assert!(answer.starts_with("permessage-deflate") && !answer.contains([',', '"', '\r', '\n']), "{answer:?}");
    }
    for client in [PerMessageDeflate::new(), PerMessageDeflate::new().fixed_client_window()] {
        if let Ok(extensions) = client_extensions_handshake(lines(), &[&client]) {
            assert!(extensions.len() <= 1);
        }
    }
}

fuzz_target!(|given: Given| {
    match &given {
        Given::Text(text) => judge(&text.lines().map(str::to_owned).collect::<Vec<_>>()),
        Given::Params(params) => {
            let mut line = NAMES[0].to_owned();
            for Param { name, value, separator } in params {
                line += ["; ", ";", ", ", " ;\t", " "][usize::from(*separator) % 5];
                line += NAMES[usize::from(*name) % NAMES.len()];
                line += &match value {
                    None => String::new(),
                    Some(Value::Number(n)) => format!("={n}"),
                    Some(Value::Quoted(n)) => format!("=\"{n}\""),
                    Some(Value::Text(text)) => format!("={text}"),
                };
            }
            judge(&[line]);
        }
        Given::Ours { client, fallback, server } => {
            let mut client = config(client);
            if let Some(fallback) = fallback {
                client = client.or_offer(config(fallback));
            }
            let server = config(server);
            let offers: Vec<String> = client.offers().iter().map(ToString::to_string).collect();
            let (answer, at_server) = server_extensions_handshake([offers.join(", ").as_str()], &[&server]);
            let at_client = client_extensions_handshake(answer.as_deref(), &[&client]).expect("our own answer");
            assert_eq!((at_server.len(), at_client.len()), (1, 1), "{offers:?} gives {answer:?}");
            say_twice(connection(Role::Client, at_client), connection(Role::Server, at_server));
        }
    }
});
