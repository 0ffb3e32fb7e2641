//! One HTTP/2 connection that several clients share, each with a stream of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::wire::{Ask, Half, read_body, request};

/// A stream of bytes, whatever is below it.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// How to ask on a connection, and what moves its bytes.
type Connection = (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>);

#[derive(Clone)]
pub(crate) struct Shared {
    address: SocketAddr,
    connection: Arc<Mutex<Connection>>,
}

impl Shared {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let connection = Arc::new(Mutex::new(dial(address).await?));
        Ok(Self {
            address,
            connection,
        })
    }

    /// The connection, or another: a server cuts one that resets too many streams at once.
    async fn ready(&self) -> io::Result<SendRequest<Bytes>> {
        let mut connection = self.connection.lock().await;
        if !connection.1.is_finished()
            && let Ok(ready) = connection.0.clone().ready().await
        {
            return Ok(ready);
        }
        *connection = dial(self.address).await?;
        Ok(connection.0.clone())
    }

    /// A stream of the body's bytes; dropping it resets the stream of HTTP/2.
    pub(crate) fn open(&self, ask: Ask) -> (Box<dyn Io>, Half) {
        let (near, far) = duplex(1 << 10);
        let transport = ask.transport;
        // How it ends, the client sees: nothing more comes.
        tokio::spawn(carry(self.clone(), ask, far));
        let half = Half::new(|io, seen| read_body(io, transport, seen));
        (Box::new(near), half)
    }
}

async fn dial(address: SocketAddr) -> io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    let mut builder = Builder::new();
    // One that is not read leaves room for the others.
    builder.initial_connection_window_size(16 << 20);
    let handshake = builder.enable_push(false).handshake(stream).await;
    let (requests, connection) = handshake.map_err(io::Error::other)?;
    let running = tokio::spawn(connection);
    while !requests.is_extended_connect_protocol_enabled() && !running.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok((requests, running))
}

async fn carry(shared: Shared, ask: Ask, mut client: DuplexStream) -> io::Result<()> {
    let (request, is_whole) = request(&ask);
    let mut requests = shared.ready().await?;
    let sent = requests.send_request(request, is_whole);
    let (response, mut send) = sent.map_err(io::Error::other)?;
    let response = response.await.map_err(io::Error::other)?;
    let mut body = response.into_body();
    let mut reply = [0; 256];
    loop {
        tokio::select! {
            data = body.data() => {
                let Some(data) = data else {
                    return Ok(());
                };
                let data = data.map_err(io::Error::other)?;
                if client.write_all(&data).await.is_err() {
                    return Ok(());
                }
                let released = body.flow_control().release_capacity(data.len());
                released.map_err(io::Error::other)?;
            }
            read = client.read(&mut reply) => match read {
                Ok(count @ 1..) => {
                    let sent = send.send_data(Bytes::copy_from_slice(&reply[..count]), false);
                    sent.map_err(io::Error::other)?;
                }
                _ => return Ok(()),
            },
        }
    }
}
