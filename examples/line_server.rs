//! A transport of one's own as a server: lines over TCP and over a Unix socket, without HTTP. A
//! client names a channel, and the id that it saw last if it has one; then each line is an object, as
//! over WebSocket, and an empty one a sign of life.
//!
//! Run with
//! ```text
//! cargo run --example line_server
//! echo 'news' | nc 127.0.0.1 PORT
//! echo 'news ID' | nc -U /tmp/eventcast-lines-PORT.sock
//! ```

use std::error::Error;
use std::io;
use std::time::Duration;

use eventcast::{
    Batch, Delivery, End, Event, Format, FormatId, Hub, Start, TokioTimer, Transport, drive,
};
use eventcast_examples::ctrl_c;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, split,
};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpListener;
use tokio::time::timeout;

const LONGEST_REQUEST: u64 = 300;
const PATIENCE: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What is written. The bytes of an event are made once and shared by all connections.
struct LineFormat;

impl Format for LineFormat {
    fn id(&self) -> FormatId {
        FormatId::new("example.lines")
    }
    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        // Heartbeats write nothing, events and all else an object on one line.
        delivery.write_envelope(out);
        out.push(b'\n');
    }
}

/// How it is written, and how the client's end is noticed.
struct Lines<S> {
    from: BufReader<ReadHalf<S>>,
    to: WriteHalf<S>,
}

impl<S: AsyncRead + AsyncWrite + Send> Transport for Lines<S> {
    type Error = io::Error;
    fn format(&self) -> &dyn Format {
        &LineFormat
    }
    async fn send(&mut self, mut batch: Batch) -> io::Result<()> {
        // A client that takes nothing must not hold its connection for ever; the log holds its
        // place, so it may come back.
        timeout(PATIENCE, self.to.write_all_buf(&mut batch)).await??;
        self.to.flush().await
    }
    async fn closed(&mut self) {
        // What a client says after its request is passed over, a piece at a time.
        let mut ignored = [0; 64];
        while !matches!(self.from.read(&mut ignored).await, Ok(0) | Err(_)) {}
    }
    async fn close(&mut self, _end: End) -> io::Result<()> {
        self.to.shutdown().await
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Send>(
    hub: Hub,
    stream: S,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (from, to) = split(stream);
    let mut lines = Lines {
        from: BufReader::new(from),
        to,
    };
    let mut request = String::new();
    let mut limited = (&mut lines.from).take(LONGEST_REQUEST);
    timeout(PATIENCE, limited.read_line(&mut request)).await??;
    let (channel, id) = request
        .trim_end()
        .split_once(' ')
        .unwrap_or((request.trim_end(), ""));
    let session = hub.session().start(Start::Earliest).channel(channel);
    let session = if id.is_empty() {
        session
    } else {
        session.resume(id)
    };
    match session.open() {
        Ok(session) => drive(session, lines, &TokioTimer, HEARTBEAT)
            .await
            .map(drop)?,
        Err(error) => lines.to.write_all(format!("{error}\n").as_bytes()).await?,
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    for driver in hub.drivers(TokioTimer) {
        tokio::spawn(driver);
    }
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let port = tcp.local_addr()?.port();
    let path = std::env::temp_dir().join(format!("eventcast-lines-{port}.sock"));
    #[cfg(unix)]
    tokio::spawn(accept_unix(
        hub.clone(),
        tokio::net::UnixListener::bind(&path)?,
    ));
    println!("tcp://127.0.0.1:{port} and {}", path.display());

    let news = hub.clone();
    tokio::spawn(async move {
        for n in 1.. {
            let event = Event::text(format!("number {n}"));
            news.publish("news", event).await.expect("a valid event");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    tokio::select! {
        () = accept_tcp(hub, tcp) => {}
        () = ctrl_c() => {}
    }
    #[cfg(unix)]
    std::fs::remove_file(&path)?;
    Ok(())
}

// A production server also bounds how many connections there are. How one ends is its client's
// affair, so nobody waits for the tasks.

async fn accept_tcp(hub: Hub, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(hub.clone(), stream));
    }
}

#[cfg(unix)]
async fn accept_unix(hub: Hub, listener: tokio::net::UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(hub.clone(), stream));
    }
}
