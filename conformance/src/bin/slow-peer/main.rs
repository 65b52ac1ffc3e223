//! One end of a proof of back-pressure: offers 64 MiB, or takes nothing until it is told to, and then everything.
//!
//! usage: `slow-peer serve|connect=URL offer|take|both [--tls] [--compress] [--http2 [--siblings]]`
//!
//! It says on standard output, one line each: `listening URL` (a server); `stalled …` when for five seconds nothing could be
//! sent; `siblings …`, a client that has some, what they have done when it is stalled, or begins to take; `done …` when all has
//! arrived. It begins to take when it reads a line from standard input.

#![forbid(unsafe_code)]

mod siblings;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lexopt::prelude::*;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use wsproto::CloseCode;
use wsproto::extension::deflate::PerMessageDeflate;
use wsproto::frame::Role;
use wsproto_conformance::numbered::{Body, check, message};
use wsproto_conformance::process::Usage;
use wsproto_io::tls::{ClientTls, ServerTls};
use wsproto_io::{AcceptOptions, ConnectOptions, Message, ServeOptions, Transport, WebSocket, serve};

use siblings::Siblings;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is offered: so many messages.
const MESSAGES: u64 = 1025;

/// What follows the first line of each: with it hardly 64 KiB, and never more, so that one that has room waits for nothing.
const LEN: usize = 64 * 1024 - 24;

/// How long nothing can be sent before that is told.
const STALLED: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Offer,
    Take,
    Both,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    part: Part,
    tls: bool,
    compress: bool,
    http2: bool,
    siblings: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = lexopt::Parser::from_env();
    let (mut words, mut tls, mut compress, mut http2, mut siblings) = (Vec::new(), false, false, false, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("tls") => tls = true,
            Long("compress") => compress = true,
            Long("http2") => http2 = true,
            Long("siblings") => siblings = true,
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let [end, part] = words.as_slice() else { return Err("serve or connect=URL; offer, take or both".into()) };
    let part = match part.as_str() {
        "offer" => Part::Offer,
        "take" => Part::Take,
        "both" => Part::Both,
        other => return Err(format!("{other}?").into()),
    };
    let plan = Plan { part, tls, compress, http2, siblings };
    match end.strip_prefix("connect=") {
        Some(url) => run_client(url, plan).await,
        None => run_server(plan).await,
    }
}

fn deflate(plan: Plan) -> Option<PerMessageDeflate> {
    plan.compress.then(PerMessageDeflate::new)
}

async fn run_client(url: &str, plan: Plan) -> Result<(), Failure> {
    let options = ConnectOptions::new().compression(deflate(plan)).tls(ClientTls::dangerous_without_verification()?);
    if !plan.http2 {
        return play(options.connect(url).await?, plan, &Siblings::default()).await;
    }
    let connection = options.http2(url).await?;
    let siblings = if plan.siblings { Siblings::open(&connection).await? } else { Siblings::default() };
    play(connection.open("/").await?, plan, &siblings).await?;
    siblings.end().await
}

/// Serves one client.
async fn run_server(plan: Plan) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let done = Arc::new(Semaphore::new(0));
    let all = Arc::clone(&done);
    let sockets = 1 + if plan.siblings { siblings::COUNT } else { 0 };
    let mut options = ServeOptions::new()
        .accept(AcceptOptions::new().compression(deflate(plan)))
        .http2(plan.http2.then_some(100))
        .shutdown(async move { drop(all.acquire_many(sockets).await) });
    if plan.tls {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        options =
            options.tls(ServerTls::from_pem(own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes())?);
    }
    println!("listening {}://{address}/", if plan.tls { "wss" } else { "ws" });
    serve(listener, options, move |socket, client| {
        let done = Arc::clone(&done);
        async move {
            let played = match client.request.path() {
                siblings::PATH => siblings::echo(socket).await.map_err(Failure::from),
                _ => play(socket, plan, &Siblings::default()).await,
            };
            if let Err(failure) = played {
                println!("failed {failure}");
            }
            done.add_permits(1);
            Ok(())
        }
    })
    .await;
    Ok(())
}

/// Plays the part, and tells what it took.
async fn play(mut socket: WebSocket<Transport>, plan: Plan, siblings: &Siblings) -> Result<(), Failure> {
    // Once there and back, so that what is made once is made: threads, buffers, codecs.
    socket.send("ready").await?;
    if socket.recv().await? != Some(Message::Text("ready".into())) {
        return Err("the peer is not ready".into());
    }
    let before = Usage::own().unwrap_or_default();
    let (received, bytes) = match plan.part {
        Part::Offer => {
            offer(&mut socket, plan, before, siblings).await?;
            // The one that takes closes.
            if socket.recv().await?.is_some() {
                return Err("the peer was to send nothing".into());
            }
            (0, 0)
        }
        Part::Take => {
            told().await?;
            tell_siblings(siblings);
            let mut bytes = 0;
            for number in 0..MESSAGES {
                let message = socket.recv().await?.ok_or("the peer closed too early")?;
                bytes += judge(socket.role(), &message, number)?;
            }
            socket.close(CloseCode::NORMAL, "").await?;
            (MESSAGES, bytes)
        }
        Part::Both => both(socket, plan, before).await?,
    };
    let growth = Usage::own().unwrap_or_default().peak.saturating_sub(before.resident);
    println!("done received={received} bytes={bytes} growth={growth}");
    Ok(())
}

/// A message of this end's. The two ends have streams of their own.
fn make(role: Role, plan: Plan, number: u64) -> Message {
    let body = if plan.compress { Body::Hexadecimal } else { Body::Bytes };
    message(role as u64, number, body, LEN)
}

/// Checks a message of the peer's; gives its length.
fn judge(role: Role, message: &Message, number: u64) -> Result<u64, Failure> {
    check(message.as_bytes(), 1 - role as u64, number).map_err(|wrong| format!("message {number}: {wrong}"))?;
    Ok(message.as_bytes().len() as u64)
}

/// Sends all messages one after the other, without reading.
async fn offer(
    socket: &mut WebSocket<Transport>,
    plan: Plan,
    before: Usage,
    siblings: &Siblings,
) -> Result<(), Failure> {
    let handle = socket.handle();
    let mut told = false;
    for number in 0..MESSAGES {
        let message = make(socket.role(), plan, number);
        let mut sending = pin!(socket.send(&message));
        while !tokio::select! {
            sent = &mut sending => { sent?; true }
            () = sleep(STALLED), if !told => false,
        } {
            told = true;
            tell_stalled(number, handle.counters().queued, before);
            tell_siblings(siblings);
        }
    }
    if !told {
        return Err(ALL_ACCEPTED.into());
    }
    socket.flush().await?;
    Ok(())
}

const ALL_ACCEPTED: &str = "all was accepted for a peer that takes nothing";

fn tell_stalled(accepted: u64, queued: usize, before: Usage) {
    let growth = Usage::own().unwrap_or_default().resident.saturating_sub(before.resident);
    println!("stalled accepted={accepted} queued={queued} growth={growth}");
}

fn tell_siblings(siblings: &Siblings) {
    if let Some(least) = siblings.least() {
        println!("siblings least={least}");
    }
}

/// Waits for a line from standard input.
async fn told() -> Result<(), Failure> {
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    Ok(())
}

/// Offers without taking, until told to; then does both at once. What was received, in messages and in bytes.
async fn both(mut socket: WebSocket<Transport>, plan: Plan, before: Usage) -> Result<(u64, u64), Failure> {
    let role = socket.role();
    let sent = offer_until_told(&mut socket, plan, before).await?;
    let (mut reader, mut writer) = socket.split();
    let sending = async {
        for number in sent..MESSAGES {
            writer.send(make(role, plan, number)).await?;
        }
        writer.flush().await?;
        Ok::<_, Failure>(())
    };
    let receiving = async {
        let mut bytes = 0;
        for number in 0..MESSAGES {
            let message = reader.recv().await?.ok_or("the peer closed too early")?;
            bytes += judge(role, &message, number)?;
        }
        Ok::<_, Failure>(bytes)
    };
    let ((), bytes) = tokio::try_join!(sending, receiving)?;
    if role == Role::Client {
        writer.send_close(CloseCode::NORMAL, "");
    }
    match reader.recv().await? {
        None => Ok((MESSAGES, bytes)),
        Some(_) => Err("one message too many".into()),
    }
}

/// How many messages were accepted. Each wait is for room, so that it can be given up without a message in the middle.
async fn offer_until_told(socket: &mut WebSocket<Transport>, plan: Plan, before: Usage) -> Result<u64, Failure> {
    let (mut sent, mut stalled) = (0, false);
    let mut told = pin!(told());
    loop {
        tokio::select! {
            biased;
            told = &mut told => {
                told?;
                return Ok(sent);
            }
            ready = socket.ready() => ready?,
            () = sleep(STALLED), if !stalled => {
                stalled = true;
                tell_stalled(sent, socket.queued(), before);
                continue;
            }
        }
        socket.feed(make(socket.role(), plan, sent)).await?;
        sent += 1;
        if sent == MESSAGES {
            // Once stalled, that is because the peer was told to take before we were.
            return if stalled { Ok(sent) } else { Err(ALL_ACCEPTED.into()) };
        }
    }
}
