//! The client that the Autobahn suite tests: for each case one connection, on which every message is echoed.
//!
//! usage: `autobahn-client [--http2] ws://127.0.0.1:PORT`

#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use wsproto::Limits;
use wsproto_io::{ConnectOptions, Http, Message};

/// Longest message, in bytes: the suite's 9.* cases send up to 16 MiB, more than the default limit.
const MAX_MESSAGE_SIZE: u64 = 64 * 1024 * 1024;

/// The suite answers a request for its reports when it has written them, which takes its time on a busy machine.
const HANDSHAKE: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    let url = arguments.pop().ok_or("usage: autobahn-client [--http2] ws://127.0.0.1:PORT")?;
    let http = match arguments.as_slice() {
        [] => Http::One,
        [option] if option == "--http2" => Http::Two,
        _ => return Err(format!("unexpected: {arguments:?}").into()),
    };
    let options = ConnectOptions::new()
        .limits(Limits::default().message(MAX_MESSAGE_SIZE))
        .handshake_timeout(HANDSHAKE)
        .http_version(http);
    let cases = count_cases(&options, &url).await?;
    for case in 1..=cases {
        // How it ended is judged by the suite: most cases break the protocol on purpose.
        if let Err(error) = echo(&options, &format!("{url}/runCase?case={case}&agent=wsproto")).await {
            println!("case {case} of {cases}: {error}");
        }
    }
    let mut socket = options.connect(&format!("{url}/updateReports?agent=wsproto")).await?;
    while socket.recv().await?.is_some() {}
    Ok(())
}

async fn count_cases(options: &ConnectOptions, url: &str) -> Result<u32, Box<dyn Error>> {
    let mut socket = options.connect(&format!("{url}/getCaseCount")).await?;
    match socket.recv().await? {
        Some(Message::Text(count)) => Ok(count.parse()?),
        other => Err(format!("the suite did not tell the number of its cases, but {other:?}").into()),
    }
}

async fn echo(options: &ConnectOptions, url: &str) -> Result<(), wsproto_io::Error> {
    let mut socket = options.connect(url).await?;
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}
