//! The clients: one session of each transport, and one over HTTP/2.

use std::fmt::Display;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Opens everything, says so, and stays.
pub(crate) async fn run(address: &str) -> Result<(), String> {
    let head = format!("HTTP/1.1\r\nHost: {address}\r\n");
    let poll = format!("GET /events?channel=a {head}Accept: application/json\r\n\r\n");
    let answer = ask(address, &poll, "\"events\"").await?.1;
    let id = answer.split("\"position\":\"").nth(1);
    let id = id.and_then(|rest| rest.split('"').next());
    let id = id.ok_or("the poll's answer has no position")?;
    let mut open = Vec::new();
    for request in [
        format!("GET /events?channel=a {head}\r\n"),
        format!("GET /events?channel=a {head}Accept: application/x-ndjson\r\n\r\n"),
        format!("GET /events?channel=a {head}{UPGRADE}\r\n"),
    ] {
        open.push(ask(address, &request, "open").await?.0);
    }
    let waiting = poll.replace("channel=a", &format!("channel=a&last_event_id={id}"));
    let mut stream = TcpStream::connect(address).await.map_err(text)?;
    stream.write_all(waiting.as_bytes()).await.map_err(text)?;
    open.push(stream);

    let stream = TcpStream::connect(address).await.map_err(text)?;
    let (requests, connection) = h2::client::handshake(stream).await.map_err(text)?;
    tokio::spawn(connection);
    let mut requests = requests.ready().await.map_err(text)?;
    let uri = format!("http://{address}/events?channel=a");
    let request = Request::get(uri).body(()).map_err(text)?;
    let (response, _send) = requests.send_request(request, true).map_err(text)?;
    let mut body = response.await.map_err(text)?.into_body();
    body.data().await.ok_or("no first block")?.map_err(text)?;
    // The poll was sent before, over another connection.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    println!("open");
    std::future::pending::<()>().await;
    drop(open);
    Ok(())
}

/// Sends a request and reads up to what is wanted.
async fn ask(address: &str, request: &str, wanted: &str) -> Result<(TcpStream, String), String> {
    let mut stream = TcpStream::connect(address).await.map_err(text)?;
    stream.write_all(request.as_bytes()).await.map_err(text)?;
    let mut read = Vec::new();
    loop {
        let answer = String::from_utf8_lossy(&read).into_owned();
        if answer.contains(wanted) {
            return Ok((stream, answer));
        }
        if stream.read_buf(&mut read).await.map_err(text)? == 0 {
            return Err(format!("ended before {wanted}: {answer}"));
        }
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
