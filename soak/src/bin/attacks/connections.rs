//! Connections that are cut anywhere, that do not read, and that hardly write.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use crate::Field;
use crate::NEWS;
use crate::http2;
use crate::raw::{self, UPGRADE, get};
use crate::server::patience;
use crate::tally::{Tally, many};

/// Connects and disconnects in the middle of handshakes, requests and streams.
pub(crate) async fn cut(field: Field) -> Result<Tally, String> {
    let Field { address, .. } = field;
    let count = field.scale(10_000, 1_000);
    let tally = many(count, 64, move |number| cut_one(address, number)).await;
    tally.only("cuts", &["left"])
}

async fn cut_one(address: SocketAddr, number: usize) -> String {
    let Ok(mut stream) = raw::connect(address).await else {
        return "not connected".to_owned();
    };
    let events = |more: &str| get(&format!("/events?channel={NEWS}&{more}"), "");
    let socket = get(&format!("/events?channel={NEWS}"), UPGRADE);
    let publish = "POST /channels/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer cutter\r\n\
        Content-Length: 1000\r\n\r\nhalf";
    let (bytes, reads): (Vec<u8>, bool) = match number % 10 {
        0 => (Vec::new(), false),
        1 => (b"GET /events?chan".to_vec(), false),
        2 => (socket.into(), false),
        3 => (events("").into(), false),
        4 => (events("start=earliest").into(), true),
        5 => (events("transport=stream").into(), true),
        6 => (events("transport=poll").into(), false),
        7 => ([socket.as_bytes(), &[0x81, 0xff, 0]].concat(), true),
        8 => (http2::preface()[..30].to_vec(), false),
        _ => (publish.into(), false),
    };
    let _ = stream.write_all(&bytes).await;
    if reads {
        let _ = stream.read(&mut [0; 256]).await;
    }
    if number.is_multiple_of(2) {
        let _ = stream.set_zero_linger();
    }
    "left".to_owned()
}

/// Subscribers that never read, while large events flow.
pub(crate) async fn unread(field: Field) -> Result<Tally, String> {
    let count = field.scale(1_000, 150);
    let mut idle: Vec<TcpStream> = Vec::new();
    for number in 0..count {
        let target = format!("/events?channel=flood&channel={NEWS}&start=live");
        let request = match number % 4 {
            0 => get(&target, ""),
            1 => get(&format!("{target}&transport=stream"), ""),
            _ => get(&target, UPGRADE),
        };
        let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
        let _ = socket.set_recv_buffer_size(4096);
        let stream = socket.connect(field.address).await;
        let mut stream = stream.map_err(|error| error.to_string())?;
        let bytes = match number % 4 {
            2 => [http2::preface(), http2::request(1, &target)].concat(),
            _ => request.into(),
        };
        let _ = stream.write_all(&bytes).await;
        idle.push(stream);
    }
    let mut publisher = raw::connect(field.address)
        .await
        .map_err(|error| error.to_string())?;
    let payload = "x".repeat(16 << 10);
    let request = raw::post(
        "/channels/flood",
        "Authorization: Bearer flooder\r\n",
        &payload,
    );
    let mut tally = Tally::default();
    for _ in 0..field.scale(600, 120) {
        let sent = publisher.write_all(request.as_bytes()).await;
        sent.map_err(|error| error.to_string())?;
        let outcome = raw::answer(&mut publisher).await.outcome;
        tally.add(format!("published {outcome}"), 1);
        sleep(Duration::from_millis(5)).await;
    }
    // One that has room for nothing more is cut; that shows as it is read at last.
    sleep(patience(field.quick).1.mul_f64(1.5)).await;
    let judged = many(idle.len(), 256, {
        let idle = std::sync::Mutex::new(idle);
        move |_| {
            let stream = idle.lock().ok().and_then(|mut idle| idle.pop());
            async move {
                let is_cut = match stream {
                    Some(mut stream) => raw::is_closed(&mut stream, BRIEF).await,
                    None => false,
                };
                let outcome = if is_cut { "cut" } else { "held" };
                outcome.to_owned()
            }
        }
    });
    tally.join(judged.await);
    let tally = tally.only("unread", &["cut", "held", "published 200"])?;
    match tally.count("cut") {
        0 => Err(format!("nobody who does not read is cut: {tally}")),
        _ => Ok(tally),
    }
}

/// Heads, bodies and prefaces that come byte by byte.
pub(crate) async fn slow(field: Field) -> Result<Tally, String> {
    let count = field.scale(400, 60);
    let tally = many(count, count, move |number| slow_one(field, number)).await;
    tally.only("byte by byte", &["408", "cut"])
}

async fn slow_one(field: Field, number: usize) -> String {
    let Ok(mut stream) = raw::connect(field.address).await else {
        return "not connected".to_owned();
    };
    let body = "POST /channels/slow HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer slow\r\n\
        Content-Length: 100000\r\n\r\n";
    let (first, byte): (&[u8], &[u8]) = match number % 4 {
        0 => (b"GET /events?channel=a HTTP/1.1\r\nX: ", b"x"),
        1 => (body.as_bytes(), b"x"),
        2 => (b"PRI * HTTP/2.0\r\n\r\nSM", b""),
        _ => (b"", b""),
    };
    let _ = stream.write_all(first).await;
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let began = Instant::now();
    let writes = async {
        loop {
            sleep(Duration::from_millis(100)).await;
            if writing.write_all(byte).await.is_err() {
                break;
            }
        }
        // Its end is the reader's to see.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = reading.read_to_end(&mut answer) => {}
        () = writes => {}
    }
    let (head, stalled) = patience(field.quick);
    if began.elapsed() > head.max(stalled) + GRACE {
        return "too late".to_owned();
    }
    match answer.get(9..12) {
        Some(b"408") => "408".to_owned(),
        _ => "cut".to_owned(),
    }
}

/// For what is already in a socket's buffers to be read.
const BRIEF: Duration = Duration::from_millis(500);
/// For a machine that has other things to do.
const GRACE: Duration = Duration::from_secs(45);
