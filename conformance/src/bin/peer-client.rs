//! Our client against a peer's server: runs the cases of `conformance/peers/cases.json`, one line for each.
//!
//! usage: `peer-client --peer NAME [--role ROLE] --url URL --mode MODE… [--case NAME] [--ca FILE]`

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use lexopt::prelude::*;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wsproto::extension::deflate::PerMessageDeflate;
use wsproto::{CloseCode, Limits};
use wsproto_conformance::peers::{Action, Cases, Check, HttpVersion, LIMIT, MAX_MESSAGE_SIZE, Mode, Target, payload};
use wsproto_io::tls::ClientTls;
use wsproto_io::{ConnectOptions, Http, IntoMessage, Message, Transport, WebSocket};

type Socket = WebSocket<Transport>;
type Failure = Box<dyn Error>;

struct Arguments {
    peer: String,
    /// The peer's: a server, or a proxy in front of ours.
    role: String,
    url: String,
    modes: Vec<String>,
    case: Option<String>,
    /// The certificate authority for `wss` URLs.
    ca: Option<String>,
}

impl Arguments {
    fn parse() -> Result<Self, lexopt::Error> {
        let (mut peer, mut role, mut url) = (None, "server".to_owned(), None);
        let (mut modes, mut case, mut ca) = (Vec::new(), None, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("peer") => peer = Some(arguments.value()?.string()?),
                Long("role") => role = arguments.value()?.string()?,
                Long("url") => url = Some(arguments.value()?.string()?),
                Long("mode") => modes.push(arguments.value()?.string()?),
                Long("case") => case = Some(arguments.value()?.string()?),
                Long("ca") => ca = Some(arguments.value()?.string()?),
                other => return Err(other.unexpected()),
            }
        }
        let (peer, url) = (peer.ok_or("--peer is missing")?, url.ok_or("--url is missing")?);
        Ok(Self { peer, role, url, modes, case, ca })
    }

    fn wants(&self, mode: &str, case: &str) -> bool {
        self.case.as_ref().is_none_or(|wanted| wanted == case || *wanted == format!("{mode}/{case}"))
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let arguments = Arguments::parse()?;
    let cases = Cases::load()?;
    let mut options = ConnectOptions::new().limits(Limits::default().message(MAX_MESSAGE_SIZE)).close_timeout(LIMIT);
    if let Some(ca) = &arguments.ca {
        options = options.tls(ClientTls::with_ca_pem(&fs::read(ca)?)?);
    }
    let mut passed = true;
    for mode in &arguments.modes {
        let Mode { http, deflate, tls } = *cases.modes.get(mode).ok_or_else(|| format!("there is no mode {mode:?}"))?;
        if tls != arguments.url.starts_with("wss:") {
            return Err(format!("the mode {mode} does not fit the URL {}", arguments.url).into());
        }
        let version = if http == HttpVersion::Two { Http::Two } else { Http::One };
        let options = options.clone().http_version(version).compression(deflate.then(PerMessageDeflate::new));
        for (number, case) in cases.cases.iter().enumerate().filter(|(_, case)| arguments.wants(mode, &case.name)) {
            let (name, check) =
                (format!("{mode}/{}", case.name), cases.check(&arguments.peer, &arguments.role, http, case));
            let line = if let Some(why) = check.left_out {
                format!("left out {name}: {why}")
            } else {
                let id = format!("{}-{mode}-{number}", std::process::id());
                let trial = Trial { url: &arguments.url, options: &options, http, deflate, check: &check, id };
                let start = Instant::now();
                match timeout(LIMIT, trial.run(&case.action)).await.unwrap_or_else(|elapsed| Err(elapsed.into())) {
                    Ok(()) => format!("ok {name} ({:.3} s)", start.elapsed().as_secs_f64()),
                    Err(failure) => {
                        passed = false;
                        format!("FAILED {name}: {failure}")
                    }
                }
            };
            writeln!(io::stdout(), "{line}")?;
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One case in one mode.
struct Trial<'a> {
    url: &'a str,
    options: &'a ConnectOptions,
    http: HttpVersion,
    deflate: bool,
    check: &'a Check<'a>,
    /// Under which the server keeps the Close that it receives.
    id: String,
}

impl Trial<'_> {
    async fn run(&self, action: &Action) -> Result<(), Failure> {
        match action {
            Action::Echo { kind, size } => {
                let mut socket = self.open(Target::new("/echo")).await?;
                // Twice: what compression keeps of one message serves the next.
                for seed in [1, 2] {
                    let message = payload(*kind, *size, seed);
                    socket.send(&message).await?;
                    self.expect(&mut socket, &message).await?;
                }
                self.end(socket).await
            }
            Action::FragmentsByClient { kind, sizes } => {
                let mut socket = self.open(Target::new("/echo")).await?;
                let parts: Vec<_> = sizes.iter().zip(0..).map(|(size, seed)| payload(*kind, *size, seed)).collect();
                for (n, part) in parts.iter().enumerate() {
                    let piece = part.into_message();
                    socket.send(if n + 1 < parts.len() { piece.unfinished() } else { piece }).await?;
                }
                self.expect(&mut socket, &joined(&parts)).await?;
                self.end(socket).await
            }
            Action::FragmentsByServer { kind, size, piece } => {
                let mut socket = self.open(Target::new("/fragments").with("piece", piece)).await?;
                let message = payload(*kind, *size, 3);
                socket.send(&message).await?;
                self.expect(&mut socket, &message).await?;
                self.end(socket).await
            }
            // The driver chooses the payload, by which it knows the Pong.
            Action::PingByClient { payload: _ } => {
                let mut socket = self.open(Target::new("/echo")).await?;
                let round_trip = socket.ping().await?;
                tokio::select! {
                    time = round_trip => time?,
                    message = socket.recv() => return Err(format!("expected a Pong, got {message:?}").into()),
                };
                self.end(socket).await
            }
            Action::PingByServer { payload } => {
                let mut socket = self.open(Target::new("/ping").with("payload", payload)).await?;
                self.expect(&mut socket, &Message::Text(format!("pong {payload}"))).await?;
                self.end(socket).await
            }
            Action::Subprotocol { offer, agreed } => {
                let options = offer.iter().fold(self.options.clone(), ConnectOptions::subprotocol);
                let mut socket = self.connect(&options, Target::new("/subprotocol")).await?;
                self.check.equal("agreed", json!(agreed), &json!(socket.subprotocol()))?;
                self.check.equal("agreed at the server", json!(agreed), &report(&mut socket).await?)?;
                self.end(socket).await
            }
            Action::AtATime { connections, kind, size } => {
                let sockets = self.open_many(*connections).await?;
                let mut echoes = JoinSet::new();
                for (mut socket, seed) in sockets.into_iter().zip(0..) {
                    let message = payload(*kind, *size, seed);
                    echoes.spawn(async move {
                        socket.send(&message).await?;
                        let received = socket.recv().await?;
                        Ok::<_, wsproto_io::Error>((socket, message, received))
                    });
                }
                for echo in echoes.join_all().await {
                    let (socket, message, received) = echo?;
                    self.check.message(&message, received.as_ref())?;
                    self.end(socket).await?;
                }
                Ok(())
            }
            Action::CloseByClient { code, reason } => {
                let close = json!({"code": code, "reason": reason});
                let mut socket = self.open(Target::new("/echo").with("id", &self.id)).await?;
                socket.close(CloseCode::new(*code).ok_or("a close code that cannot be sent")?, reason).await?;
                self.check.equal("reply", close.clone(), &closed(&socket))?;
                Ok(self.check.equal("seen at the server", close, &self.seen().await?)?)
            }
            Action::CloseByServer { code, reason } => {
                let close = json!({"code": code, "reason": reason});
                let target = Target::new("/close").with("id", &self.id).with("code", code).with("reason", reason);
                let mut socket = self.open(target).await?;
                if let Some(message) = socket.recv().await? {
                    return Err(format!("expected a Close, got {message:?}").into());
                }
                self.check.equal("close", close.clone(), &closed(&socket))?;
                Ok(self.check.equal("reply at the server", close, &self.seen().await?)?)
            }
        }
    }

    async fn open(&self, target: Target) -> Result<Socket, Failure> {
        self.connect(self.options, target).await
    }

    /// A connection for which compression was agreed on as the mode says: that is for the server to check, which ends
    /// the connection otherwise.
    async fn connect(&self, options: &ConnectOptions, target: Target) -> Result<Socket, Failure> {
        Ok(options.connect(format!("{}{}", self.url, self.complete(target))).await?)
    }

    /// So many at a time: by HTTP/2, over one connection.
    async fn open_many(&self, count: u64) -> Result<Vec<Socket>, Failure> {
        let mut sockets = Vec::new();
        let connection = match self.http {
            HttpVersion::One => None,
            HttpVersion::Two => Some(self.options.http2(self.url).await?),
        };
        for _ in 0..count {
            let target = Target::new("/echo");
            sockets.push(match &connection {
                None => self.open(target).await?,
                Some(connection) => connection.open(&self.complete(target).to_string()).await?,
            });
        }
        Ok(sockets)
    }

    fn complete(&self, target: Target) -> Target {
        target.with("deflate", if self.deflate { "on" } else { "off" })
    }

    /// Receives this message.
    async fn expect(&self, socket: &mut Socket, message: &Message) -> Result<(), Failure> {
        let received = socket.recv().await?;
        let end = socket.closed().map(|closed| format!(" ({closed})")).unwrap_or_default();
        self.check.message(message, received.as_ref()).map_err(|failure| format!("{failure}{end}").into())
    }

    async fn end(&self, mut socket: Socket) -> Result<(), Failure> {
        socket.close(CloseCode::NORMAL, "").await?;
        Ok(self.check.equal("code at the end", json!(1000), &closed(&socket)["code"])?)
    }

    /// The Close that the server received on the connection of this case.
    async fn seen(&self) -> Result<Value, Failure> {
        let mut socket = self.open(Target::new("/seen").with("id", &self.id)).await?;
        let seen = report(&mut socket).await?;
        self.end(socket).await?;
        Ok(seen)
    }
}

/// What the server tells about itself.
async fn report(socket: &mut Socket) -> Result<Value, Failure> {
    match socket.recv().await? {
        Some(Message::Text(text)) => Ok(serde_json::from_str(&text)?),
        other => Err(format!("expected a report, got {other:?}, {:?}", socket.closed()).into()),
    }
}

fn closed(socket: &Socket) -> Value {
    socket.closed().map_or(Value::Null, |closed| json!({"code": closed.code, "reason": closed.reason}))
}

fn joined(parts: &[Message]) -> Message {
    match parts.first() {
        Some(Message::Text(_)) => Message::Text(parts.iter().filter_map(Message::as_text).collect()),
        _ => Message::Binary(parts.iter().flat_map(Message::as_bytes).copied().collect()),
    }
}
