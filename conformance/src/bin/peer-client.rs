//! Our client against a peer's server: runs the cases of `conformance/peers/cases.json`, one line for each.
//!
//! usage: `peer-client --peer NAME --url ws://HOST:PORT --mode MODE… [--case NAME] [--ca FILE]`

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::prelude::*;
use serde_json::{Value, json};
use wsproto::extension::deflate::PerMessageDeflate;
use wsproto::{CloseCode, Event, Limits};
use wsproto_conformance::peers::{Action, Case, Cases, Check, LIMIT, MAX_MESSAGE_SIZE, Mode, Target, payload};
use wsproto_io::Message;
use wsproto_io::blocking::{ConnectOptions, WebSocket};

type Socket = WebSocket<TcpStream>;
type Failure = Box<dyn Error>;

struct Arguments {
    peer: String,
    url: String,
    modes: Vec<String>,
    case: Option<String>,
    /// The certificate authority for `wss` URLs.
    ca: Option<String>,
}

impl Arguments {
    fn parse() -> Result<Self, lexopt::Error> {
        let (mut peer, mut url, mut modes, mut case, mut ca) = (None, None, Vec::new(), None, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("peer") => peer = Some(arguments.value()?.string()?),
                Long("url") => url = Some(arguments.value()?.string()?),
                Long("mode") => modes.push(arguments.value()?.string()?),
                Long("case") => case = Some(arguments.value()?.string()?),
                Long("ca") => ca = Some(arguments.value()?.string()?),
                other => return Err(other.unexpected()),
            }
        }
        let (peer, url) = (peer.ok_or("--peer is missing")?, url.ok_or("--url is missing")?);
        Ok(Self { peer, url, modes, case, ca })
    }

    fn wants(&self, mode: &str, case: &str) -> bool {
        self.case.as_ref().is_none_or(|wanted| wanted == case || *wanted == format!("{mode}/{case}"))
    }
}

fn main() -> Result<ExitCode, Failure> {
    let arguments = Arguments::parse()?;
    let cases = Cases::load()?;
    let mut passed = true;
    for name in &arguments.modes {
        let mode = *cases.modes.get(name).ok_or_else(|| format!("there is no mode {name:?}"))?;
        for (number, case) in cases.cases.iter().enumerate() {
            if arguments.wants(name, &case.name) {
                let id = format!("{}-{name}-{number}", std::process::id());
                let line = tell(&arguments, mode, case, &cases.check(&arguments.peer, case), &id);
                passed &= line.is_ok();
                let line = match line {
                    Ok(line) => line.replace("{}", &format!("{name}/{}", case.name)),
                    Err(failure) => format!("FAILED {name}/{}: {failure}", case.name),
                };
                writeln!(io::stdout(), "{line}")?;
            }
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one case, unless it is left out: the line that tells so, with `{}` for its name.
fn tell(arguments: &Arguments, mode: Mode, case: &Case, check: &Check<'_>, id: &str) -> Result<String, Failure> {
    if let Some(why) = check.left_out {
        return Ok(format!("left out {{}}: {why}"));
    }
    let start = Instant::now();
    Trial { arguments, mode, check, id }.run(&case.action)?;
    Ok(format!("ok {{}} ({:.3} s)", start.elapsed().as_secs_f64()))
}

/// One case in one mode.
struct Trial<'a> {
    arguments: &'a Arguments,
    mode: Mode,
    check: &'a Check<'a>,
    /// Under which the server keeps the Close that it receives.
    id: &'a str,
}

impl Trial<'_> {
    fn run(&self, action: &Action) -> Result<(), Failure> {
        match action {
            Action::Echo { kind, size } => {
                let mut socket = self.open(&Target::new("/echo"))?;
                // Twice: what compression keeps of one message serves the next.
                for seed in [1, 2] {
                    let message = payload(*kind, *size, seed);
                    socket.send(&message)?;
                    self.expect(&mut socket, &message)?;
                }
                self.end(socket)
            }
            Action::FragmentsByClient { kind, sizes } => {
                let mut socket = self.open(&Target::new("/echo"))?;
                let parts: Vec<_> = sizes.iter().zip(0..).map(|(size, seed)| payload(*kind, *size, seed)).collect();
                send_fragments(&mut socket, &parts)?;
                self.expect(&mut socket, &joined(&parts))?;
                self.end(socket)
            }
            Action::FragmentsByServer { kind, size, piece } => {
                let mut socket = self.open(&Target::new("/fragments").with("piece", piece))?;
                let message = payload(*kind, *size, 3);
                socket.send(&message)?;
                self.expect(&mut socket, &message)?;
                self.end(socket)
            }
            Action::PingByClient { payload } => {
                let mut socket = self.open(&Target::new("/echo"))?;
                ping(&mut socket, payload)?;
                self.end(socket)
            }
            Action::PingByServer { payload } => {
                let mut socket = self.open(&Target::new("/ping").with("payload", payload))?;
                let report = Message::Text(format!("pong {payload}"));
                self.expect(&mut socket, &report)?;
                self.end(socket)
            }
            Action::Subprotocol { offer, agreed } => self.subprotocol(offer, agreed.as_deref()),
            Action::CloseByClient { code, reason } => {
                let close = json!({"code": code, "reason": reason});
                let mut socket = self.open(&Target::new("/echo").with("id", self.id))?;
                socket.close(CloseCode::new(*code).ok_or("a close code that cannot be sent")?, reason)?;
                self.check.equal("reply", close.clone(), &closed(&socket))?;
                self.check.equal("seen at the server", close, &self.seen()?)?;
                Ok(())
            }
            Action::CloseByServer { code, reason } => {
                let close = json!({"code": code, "reason": reason});
                let target = Target::new("/close").with("id", self.id).with("code", code).with("reason", reason);
                let mut socket = self.open(&target)?;
                if let Some(message) = socket.recv()? {
                    return Err(format!("expected a Close, got {message:?}").into());
                }
                self.check.equal("close", close.clone(), &closed(&socket))?;
                self.check.equal("reply at the server", close, &self.seen()?)?;
                Ok(())
            }
        }
    }

    fn options(&self) -> ConnectOptions {
        let options = ConnectOptions::new().limits(Limits::default().message(MAX_MESSAGE_SIZE)).close_timeout(LIMIT);
        options.compression(self.mode.deflate.then(PerMessageDeflate::new))
    }

    /// A connection for which compression was agreed on as the mode says: that is for the server to check, which ends
    /// the connection otherwise.
    fn open(&self, target: &Target) -> Result<Socket, Failure> {
        self.connect(&self.options(), target)
    }

    fn connect(&self, options: &ConnectOptions, target: &Target) -> Result<Socket, Failure> {
        if self.mode.tls && self.arguments.ca.is_none() {
            return Err("TLS needs --ca".into());
        }
        let target = target.clone().with("deflate", if self.mode.deflate { "on" } else { "off" });
        let mut socket = options.connect(&format!("{}{target}", self.arguments.url))?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_write_timeout(Some(LIMIT))?;
        Ok(socket)
    }

    /// Receives this message.
    fn expect(&self, socket: &mut Socket, message: &Message) -> Result<(), Failure> {
        let received = socket.recv()?;
        let end = socket.closed().map(|closed| format!(" ({closed})")).unwrap_or_default();
        self.check.message(message, received.as_ref()).map_err(|failure| format!("{failure}{end}").into())
    }

    fn end(&self, mut socket: Socket) -> Result<(), Failure> {
        socket.close(CloseCode::NORMAL, "")?;
        let code = closed(&socket)["code"].clone();
        Ok(self.check.equal("code at the end", json!(1000), &code)?)
    }

    /// The Close that the server received on the connection of this case.
    fn seen(&self) -> Result<Value, Failure> {
        let mut socket = self.open(&Target::new("/seen").with("id", self.id))?;
        let seen = report(&mut socket)?;
        self.end(socket)?;
        Ok(seen)
    }

    fn subprotocol(&self, offer: &[String], agreed: Option<&str>) -> Result<(), Failure> {
        let options = offer.iter().fold(self.options(), ConnectOptions::subprotocol);
        let mut socket = self.connect(&options, &Target::new("/subprotocol"))?;
        self.check.equal("agreed", json!(agreed), &json!(socket.subprotocol()))?;
        self.check.equal("agreed at the server", json!(agreed), &report(&mut socket)?)?;
        self.end(socket)
    }
}

/// What the server tells about itself.
fn report(socket: &mut Socket) -> Result<Value, Failure> {
    match socket.recv()? {
        Some(Message::Text(text)) => Ok(serde_json::from_str(&text)?),
        other => Err(format!("expected a report, got {other:?}, {:?}", socket.closed()).into()),
    }
}

fn closed(socket: &Socket) -> Value {
    socket.closed().map_or(Value::Null, |closed| json!({"code": closed.code, "reason": closed.reason}))
}

fn send_fragments(socket: &mut Socket, parts: &[Message]) -> Result<(), Failure> {
    let Some((last, first)) = parts.split_last() else { return Ok(()) };
    for part in first {
        let piece = match part {
            Message::Text(text) => wsproto::Message::text(text),
            Message::Binary(bytes) => wsproto::Message::binary(bytes),
        };
        socket.send(piece.unfinished())?;
    }
    Ok(socket.send(last)?)
}

fn joined(parts: &[Message]) -> Message {
    let bytes = parts.iter().flat_map(Message::as_bytes).copied().collect();
    match parts.first() {
        Some(Message::Text(_)) => Message::Text(parts.iter().filter_map(Message::as_text).collect()),
        _ => Message::Binary(bytes),
    }
}

/// Sends a Ping, and waits for its Pong.
fn ping(socket: &mut Socket, payload: &str) -> Result<(), Failure> {
    socket.ping(payload.as_bytes())?;
    while let Some(mut batch) = socket.read()? {
        match batch.next()? {
            None => {}
            Some(Event::Pong(pong)) if pong.payload == payload.as_bytes() => return Ok(()),
            Some(other) => return Err(format!("expected a Pong with {payload:?}, got {other:?}").into()),
        }
    }
    Err(format!("expected a Pong, got the end, {:?}", socket.closed()).into())
}
