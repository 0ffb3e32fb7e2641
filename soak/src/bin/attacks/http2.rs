//! HTTP/2 by its frames.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::raw;
use crate::tally::{Tally, many};
use crate::{Field, NEWS};

/// Rapid resets, and floods of every kind of frame that costs the sender nothing.
pub(crate) async fn floods(field: Field) -> Result<Tally, String> {
    let address = field.address;
    let tally = many(field.scale(240, 24), 12, move |number| one(address, number)).await;
    let named = [
        "reset",
        "ping",
        "settings",
        "continuation",
        "data",
        "window",
    ];
    let ends = ["cut", "goaway", "served"];
    let allowed: Vec<String> = named
        .iter()
        .flat_map(|name| ends.map(|end| format!("{name} {end}")))
        .collect();
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    let tally = tally.only("floods", &allowed)?;
    match tally.count("reset served") + tally.count("continuation served") {
        0 => Ok(tally),
        _ => Err(format!(
            "resets, or a head without an end, are served: {tally}"
        )),
    }
}

async fn one(address: SocketAddr, number: usize) -> String {
    let Ok(stream) = raw::connect(address).await else {
        return "not connected".to_owned();
    };
    let target = format!("/events?channel={NEWS}");
    let ping = frame(0x6, 0, 0, b"flooding");
    let (name, unit, times): (&str, Vec<u8>, usize) = match number % 6 {
        0 => ("reset", Vec::new(), 5_000),
        1 => ("ping", ping.clone(), 20_000),
        2 => ("settings", frame(0x4, 0, 0, &[]), 20_000),
        3 => (
            "continuation",
            frame(0x9, 0, 1, &[0, 1, b'x', 1, b'y'].repeat(200)),
            2_000,
        ),
        4 => ("data", frame(0x0, 0, 1, &[]), 20_000),
        _ => ("window", frame(0x8, 0, 0, &1_u32.to_be_bytes()), 20_000),
    };
    let (mut reading, mut writing) = stream.into_split();
    let writes = tokio::spawn(async move {
        let _ = writing.write_all(&preface()).await;
        let first = match name {
            // A head that does not end.
            "continuation" => frame(0x1, 0, 1, &[0x82, 0x86]),
            "data" => frame(0x1, 0x4, 1, &block(0x83, "/channels/x")),
            _ => Vec::new(),
        };
        let _ = writing.write_all(&first).await;
        for time in (0..times).step_by(20) {
            let bytes = match name {
                "reset" => (time..time + 20).fold(Vec::new(), |mut bytes, time| {
                    let stream = 2 * time as u32 + 1;
                    bytes.extend(request(stream, &target));
                    bytes.extend(frame(0x3, 0, stream, &8_u32.to_be_bytes()));
                    bytes
                }),
                _ => unit.repeat(20),
            };
            if writing.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = writing.write_all(&frame(0x6, 0, 0, b"farewell")).await;
        writing
    });
    let mut bytes = Vec::new();
    let end = loop {
        match reading.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => break "cut",
        }
        if let Some(end) = understand(&mut bytes) {
            break end;
        }
    };
    writes.abort();
    format!("{name} {end}")
}

/// What the frames that came mean, if they are an end.
fn understand(bytes: &mut Vec<u8>) -> Option<&'static str> {
    loop {
        let head = bytes.first_chunk::<9>()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let kind = head[3];
        let payload = bytes.get(9..9 + length)?;
        match (kind, payload) {
            (0x7, _) => return Some("goaway"),
            (0x6, b"farewell") => return Some("served"),
            _ => {}
        }
        bytes.drain(..9 + length);
    }
}

/// What a client begins with.
pub(crate) fn preface() -> Vec<u8> {
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &frame(0x4, 0, 0, &[])[..],
    ]
    .concat()
}

/// A whole GET.
pub(crate) fn request(stream: u32, target: &str) -> Vec<u8> {
    frame(0x1, 0x5, stream, &block(0x82, target))
}

/// A head as HPACK has it, without its tables.
fn block(method: u8, target: &str) -> Vec<u8> {
    let length = u8::try_from(target.len()).unwrap_or(126).min(126);
    let mut block = vec![method, 0x86, 0x01, 1, b'a', 0x04, length];
    block.extend(&target.as_bytes()[..length.into()]);
    block
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![high, middle, low, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
