//! A proxy for HTTP and SOCKS that leads everything to one server, whatever its name.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::scripted::read_head;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let asked = Arc::clone(&noting);
                tokio::spawn(serve(client, server, asked));
            }
        });
        Self { address, asked }
    }

    /// What it was asked since the last time: heads of requests, and hosts of SOCKS.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr, asked: Arc<Mutex<Vec<String>>>) {
    let mut onward = TcpStream::connect(server).await.unwrap();
    let mut first = [0];
    let _ = client.peek(&mut first).await;
    if first == [5] {
        let host = socks(&mut client).await;
        asked.lock().unwrap().push(format!("SOCKS {host}"));
    } else {
        let head = read_head(&mut client).await;
        if head.starts_with("CONNECT ") {
            let _ = client.write_all(b"HTTP/1.1 200 Here you are\r\n\r\n").await;
        } else {
            let _ = onward.write_all(head.as_bytes()).await;
        }
        asked.lock().unwrap().push(head);
    }
    let _ = copy_bidirectional(&mut client, &mut onward).await;
}

/// The handshake of SOCKS 5, without a password. Returns the host asked for.
async fn socks(client: &mut TcpStream) -> String {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await.unwrap();
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods).await.unwrap();
    client.write_all(&[5, 0]).await.unwrap();
    let mut request = [0; 5];
    client.read_exact(&mut request).await.unwrap();
    assert_eq!(request[..4], [5, 1, 0, 3], "connect, by a name");
    let mut host = vec![0; usize::from(request[4]) + 2];
    client.read_exact(&mut host).await.unwrap();
    let done = [5, 0, 0, 1, 127, 0, 0, 1, 0, 80];
    client.write_all(&done).await.unwrap();
    String::from_utf8_lossy(&host[..host.len() - 2]).into_owned()
}
