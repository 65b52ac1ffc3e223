//! Says hello to the server of a URL, and prints what it answers.

use wsproto_io::wsproto::CloseCode;
use wsproto_io::{Error, connect};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:9001".into());
    let mut socket = connect(&url).await?;
    socket.send("hello").await?;
    if let Some(message) = socket.recv().await? {
        println!("{message:?}");
    }
    socket.close(CloseCode::NORMAL, "").await
}
