//! How long a session outlives its permissions: from the instant that they expire, or are taken
//! back, to the end that its client reads, over sockets of this process.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eventcast::{
    Denied, EventService, Hub, Permissions, Revocation, Server, ServerConfig, ServiceConfig,
};
use eventcast_testkit::transport::Seen;
use http::request::Parts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::NEWS;
use crate::raw;
use crate::wire::{Ask, Half, Protocol, TRANSPORTS, Transport, speak};

/// When the permissions of each expire.
type Expiries = Arc<Mutex<HashMap<String, Instant>>>;

/// Measures all transports, and prints the delays.
pub(crate) async fn measure() -> Result<(), String> {
    let expiries = Expiries::default();
    let expiring = Arc::clone(&expiries);
    let config = ServiceConfig::new().with_authenticator(move |request: &Parts| {
        let query = request.uri.query().unwrap_or_default();
        let name = query.split('&').find_map(|part| part.strip_prefix("as="));
        let name = name.ok_or(Denied::Unauthorized)?;
        let permissions = Permissions::subscribe().with_principal(name);
        if !name.starts_with("expires") {
            return Ok(permissions);
        }
        // The library's own instant is a moment later.
        let at = Instant::now() + LIFETIME;
        let mut all = expiring.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), at);
        Ok(permissions.with_lifetime(LIFETIME))
    });
    let service = EventService::new(Hub::new(), config);
    let server = Server::bind("127.0.0.1:0", service.clone()).await;
    let server = server
        .map_err(|error| error.to_string())?
        .with_config(ServerConfig::new().with_drain_window(Duration::ZERO));
    let address = server.local_addr();
    let (stop, mut stopped) = watch::channel(false);
    let running = tokio::spawn(server.run(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    println!("end after, in ms, of {SESSIONS} sessions: median, greatest");
    for transport in TRANSPORTS {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let expired = expire(address, transport, protocol, &expiries).await?;
            let revoked = revoke(address, transport, protocol, &service).await?;
            println!(
                "{:<10}{protocol:?}  expiry {}  revocation {}",
                format!("{transport:?}"),
                words(expired),
                words(revoked)
            );
        }
    }
    let _ = stop.send(true);
    running.await.map_err(|error| error.to_string())
}

async fn expire(
    address: SocketAddr,
    transport: Transport,
    protocol: Protocol,
    expiries: &Expiries,
) -> Result<Vec<Duration>, String> {
    let (mut sessions, _opened) = open(address, transport, protocol, "expires");
    let mut delays = Vec::new();
    while let Some(ended) = sessions.join_next().await {
        let (name, at) = ended.map_err(|error| error.to_string())??;
        let expiries = expiries.lock().unwrap_or_else(PoisonError::into_inner);
        let expiry = expiries.get(&name).ok_or("nobody asked who it is")?;
        delays.push(at.saturating_duration_since(*expiry));
    }
    Ok(delays)
}

async fn revoke(
    address: SocketAddr,
    transport: Transport,
    protocol: Protocol,
    service: &EventService,
) -> Result<Vec<Duration>, String> {
    let (mut sessions, mut opened) = open(address, transport, protocol, "revoked");
    let mut began = HashMap::new();
    for _ in 0..SESSIONS {
        let name = opened.recv().await.ok_or("a session ended too soon")?;
        began.insert(name, Instant::now());
    }
    // A poll is a session only while it waits.
    let waiting = async {
        while transport == Transport::Poll && service.subscribers().poll < SESSIONS {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let waiting = timeout(HANG, waiting).await;
    waiting.map_err(|_| "the polls do not wait")?;
    for (name, began) in &mut began {
        *began = Instant::now();
        service.revoke(&Revocation::of_principal(name.as_str()));
    }
    let mut delays = Vec::new();
    while let Some(ended) = sessions.join_next().await {
        let (name, at) = ended.map_err(|error| error.to_string())??;
        delays.push(at.saturating_duration_since(began[&name]));
    }
    Ok(delays)
}

type Sessions = JoinSet<Result<(String, Instant), String>>;

fn open(
    address: SocketAddr,
    transport: Transport,
    protocol: Protocol,
    kind: &str,
) -> (Sessions, mpsc::UnboundedReceiver<String>) {
    let (opened, opening) = mpsc::unbounded_channel();
    let mut sessions = JoinSet::new();
    for number in 0..SESSIONS {
        let name = format!("{kind}-{transport:?}-{protocol:?}-{number}");
        let ask = Ask {
            transport,
            query: format!("channel={NEWS}&as={name}"),
            id: None,
        };
        let session = session(address, protocol, ask, name, opened.clone());
        sessions.spawn(async move {
            let ended = timeout(HANG, session).await;
            ended.map_err(|_| format!("{transport:?} over {protocol:?} goes on"))?
        });
    }
    (sessions, opening)
}

/// Reads until the session ends.
async fn session(
    address: SocketAddr,
    protocol: Protocol,
    ask: Ask,
    name: String,
    opened: mpsc::UnboundedSender<String>,
) -> Result<(String, Instant), String> {
    let expected = if name.starts_with("expires") {
        "expired"
    } else {
        "revoked"
    };
    let stream = raw::connect(address).await;
    let mut stream = stream.map_err(|error| error.to_string())?;
    let mut half = Half::new(|io, seen| speak(io, protocol, ask, seen));
    let (mut bytes, mut seen) = (vec![0; 4096], Vec::new());
    loop {
        let _ = stream.write_all(&half.outgoing()).await;
        let count = stream.read(&mut bytes).await.unwrap_or(0);
        if count == 0 {
            return Err(format!("{name} was cut without a word"));
        }
        let now = Instant::now();
        half.receive(&bytes[..count], &mut seen)?;
        for seen in seen.drain(..) {
            match seen {
                Seen::Open { .. } => drop(opened.send(name.clone())),
                Seen::End { reason } if reason == expected => return Ok((name, now)),
                Seen::End { reason } => return Err(format!("{name} ended as {reason}")),
                _ => {}
            }
        }
    }
}

fn words(mut delays: Vec<Duration>) -> String {
    delays.sort_unstable();
    let ms = |at: usize| delays.get(at).map_or(f64::NAN, |it| it.as_secs_f64() * 1e3);
    let last = delays.len().saturating_sub(1);
    format!("{:.1}, {:.1}", ms(delays.len() / 2), ms(last))
}

const SESSIONS: usize = 100;
const LIFETIME: Duration = Duration::from_secs(1);
/// Longer than any of it takes.
const HANG: Duration = Duration::from_secs(60);
