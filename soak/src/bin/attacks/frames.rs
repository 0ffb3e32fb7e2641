//! WebSockets that do not keep to the protocol, and clients that change their mind all the time.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::raw::{self, UPGRADE, get, post};
use crate::tally::{Tally, many};
use crate::{Field, NEWS};

/// Oversized, endless, malformed and very many frames.
pub(crate) async fn frames(field: Field) -> Result<Tally, String> {
    let address = field.address;
    let tally = many(field.scale(600, 56), 28, move |number| one(address, number));
    let tally = tally
        .await
        .only("frames", &["1002", "1007", "1008", "1009", "cut", "served"])?;
    match tally.count("1009") {
        0 => Err(format!("nothing is too large: {tally}")),
        _ => Ok(tally),
    }
}

async fn one(address: SocketAddr, number: usize) -> String {
    let Some(stream) = open(address).await else {
        return "not opened".to_owned();
    };
    let mask = [0; 4];
    let (first, unit, times): (Vec<u8>, Vec<u8>, usize) = match number % 7 {
        // A length that no memory has.
        0 => (
            [&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0][..], &mask].concat(),
            vec![b'x'; 4096],
            64,
        ),
        // A message in fragments that never ends.
        1 => (
            frame(0x01, &[b'x'; 100]),
            frame(0x00, &vec![b'x'; 32 << 10]),
            100,
        ),
        2 => (Vec::new(), frame(0x89, b"ping"), 20_000),
        3 => (Vec::new(), frame(0x81, br#"{"type":"ping"}"#), 5_000),
        // Without a mask; with a reserved bit; not UTF-8.
        4 => (vec![0x81, 1, b'x'], Vec::new(), 0),
        5 => (frame(0xf1, b"{}"), Vec::new(), 0),
        _ => (frame(0x81, &[0xc3, 0x28]), Vec::new(), 0),
    };
    let (mut reading, mut writing) = stream.into_split();
    let writes = tokio::spawn(async move {
        let _ = writing.write_all(&first).await;
        let units = unit.repeat(16);
        for _ in 0..times / 16 {
            if writing.write_all(&units).await.is_err() {
                break;
            }
        }
        // What it says to the end.
        let _ = writing
            .write_all(&frame(0x88, &1000_u16.to_be_bytes()))
            .await;
        writing
    });
    let mut bytes = Vec::new();
    let ended = reading.read_to_end(&mut bytes).await;
    writes.abort();
    match (close_code(&bytes), ended) {
        (Some(1000), _) => "served".to_owned(),
        (Some(code), _) => code.to_string(),
        (None, _) => "cut".to_owned(),
    }
}

/// Subscribes and unsubscribes without a pause, over a WebSocket and beside an event stream.
pub(crate) async fn changes(field: Field) -> Result<Tally, String> {
    let address = field.address;
    let messages = field.scale(10_000, 1_000);
    let tally = many(field.scale(20, 4), 20, move |_| async move {
        let Some(stream) = open(address).await else {
            return "not opened".to_owned();
        };
        let (mut reading, mut writing) = stream.into_split();
        let writes = tokio::spawn(async move {
            for number in 0..messages {
                let kind = if number % 2 == 0 {
                    "subscribe"
                } else {
                    "unsubscribe"
                };
                let channel = number / 2 % 50;
                let text = format!(r#"{{"type":"{kind}","channels":["c{channel}"]}}"#);
                if writing
                    .write_all(&frame(0x81, text.as_bytes()))
                    .await
                    .is_err()
                {
                    break;
                }
            }
            let _ = writing
                .write_all(&frame(0x88, &1000_u16.to_be_bytes()))
                .await;
            writing
        });
        let mut bytes = Vec::new();
        let _ = reading.read_to_end(&mut bytes).await;
        writes.abort();
        close_code(&bytes).map_or_else(|| "cut".to_owned(), |code| code.to_string())
    });
    let mut tally = tally.await.only("changes", &["1000", "1008", "cut"])?;
    let key = "a-key-of-the-one-who-changes";
    let request = get(
        &format!("/events?channel={NEWS}&format=json&session={key}"),
        "",
    );
    let stream = raw::connect(address).await;
    let mut stream = stream.map_err(|error| error.to_string())?;
    let _ = stream.write_all(request.as_bytes()).await;
    tally.add(raw::answer(&mut stream).await.outcome, 1);
    let reads = tokio::spawn(async move { raw::drain(&mut stream).await });
    let beside = many(field.scale(4_000, 200), 16, move |number| async move {
        let target = format!("/sessions/{key}?channel=c{}", number / 2 % 50);
        let request = post(&target, "X-Forwarded-For: 203.0.113.10\r\n", "");
        let request = match number % 2 {
            0 => request,
            _ => request.replace("POST", "DELETE"),
        };
        raw::ask(address, request).await.outcome
    });
    tally.join(beside.await);
    reads.abort();
    tally.only("changes", &["1000", "1008", "200", "429", "503", "cut"])
}

async fn open(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = raw::connect(address).await.ok()?;
    let request = get(&format!("/events?channel={NEWS}"), UPGRADE);
    stream.write_all(request.as_bytes()).await.ok()?;
    // Byte by byte: what follows is frames.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    head.starts_with(b"HTTP/1.1 101").then_some(stream)
}

/// A frame, masked with zeros, which change nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = match u8::try_from(length) {
        Ok(short) if short < 126 => vec![first, 0x80 | short],
        _ => [&[first, 0x80 | 126][..], &(length as u16).to_be_bytes()].concat(),
    };
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// What the close frame among a server's frames says.
fn close_code(mut bytes: &[u8]) -> Option<u16> {
    loop {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (length, start) = match second {
            126 => (
                usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
                4,
            ),
            127 => return None,
            short => (usize::from(short), 2),
        };
        let payload = bytes.get(start..start + length)?;
        if first == 0x88 {
            return Some(u16::from_be_bytes(payload.get(..2)?.try_into().ok()?));
        }
        bytes = &bytes[start + length..];
    }
}
