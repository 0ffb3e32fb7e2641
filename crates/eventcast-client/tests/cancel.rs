//! Futures that are dropped before they are done.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use eventcast::{Event, ServiceConfig};
use eventcast_core::ChannelName;
use eventcast_testkit::{Ledger, Observer};
use futures_util::StreamExt;
use support::cutting::Cutter;
use support::{ALL, TestServer, connected, next, observe, text, within};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

/// Polls a future so many times at most, and drops it.
struct Polled<F>(F, usize);

impl<F: Future + Unpin> Future for Polled<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if let Poll::Ready(done) = Pin::new(&mut self.0).poll(cx) {
            return Poll::Ready(Some(done));
        }
        match self.1.checked_sub(1) {
            None => Poll::Ready(None),
            Some(left) => {
                self.1 = left;
                Poll::Pending
            }
        }
    }
}

#[tokio::test]
async fn a_next_that_is_dropped_takes_nothing() {
    for transport in ALL {
        let server = TestServer::start(7, ServiceConfig::new()).await;
        let cutter = Cutter::new(server.address, 5);
        let dialing = cutter.clone();
        let mut ledger = Ledger::new();
        // More than are waited for, since a poll that is pending waits for one.
        for _ in 0..110 {
            server.publish(&mut ledger, "a", "text");
        }
        let mut client = server
            .client("channel=a&start=earliest")
            .with_transports([transport])
            .with_queue(2, 1 << 20)
            .with_dialer(move |_, _| dialing.dial())
            .connect()
            .unwrap();
        let mut observer = Observer::new(["a"], 0);
        let mut dropped = 0;
        within(async {
            while observer.events() < 100 {
                for polls in 0..3 {
                    match Polled(client.next(), polls).await {
                        Some(delivery) => {
                            observe(&mut observer, &delivery.unwrap().unwrap());
                        }
                        None => dropped += 1,
                    }
                }
            }
        })
        .await;
        while observer.events() < 110 {
            let delivery = within(client.next()).await.unwrap();
            observe(&mut observer, &delivery.unwrap());
        }
        observer.check(&ledger).unwrap();
        assert!(dropped > 10, "{dropped} were dropped");
    }
}

#[tokio::test]
async fn what_is_dropped_beside_the_stream_leaves_it_whole() {
    for transport in ALL {
        let server = TestServer::open().await;
        let client = server.client("channel=a").with_transports([transport]);
        let mut client = client.connect().unwrap();
        next(&mut client, connected).await;
        let handle = client.handle();
        let channel = |name: &str| ChannelName::new(name).unwrap();
        for polls in 0..8 {
            let added = Box::pin(handle.subscribe([channel("b")], None));
            let _ = Polled(added, polls).await;
            let event = Event::text("perhaps");
            let (published, c) = (Event::text("sure"), channel("c"));
            let perhaps = Box::pin(handle.publish(&c, &event));
            let _ = Polled(perhaps, polls).await;
            handle.publish(&channel("a"), &published).await.unwrap();
            assert_eq!(next(&mut client, text).await, "sure", "{transport:?}");
        }
        within(handle.subscribe([channel("b")], None))
            .await
            .unwrap();
        server.hub.try_publish("b", Event::text("added")).unwrap();
        assert_eq!(next(&mut client, text).await, "added", "{transport:?}");
    }
}

/// Counts the connections that are open.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_dropped_while_it_connects_leaves_no_connection() {
    for transport in ALL {
        let open = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&open);
        // A server that takes the connection and says nothing.
        let client = support::builder("http://test/events?channel=a")
            .with_transports([transport])
            .with_dialer(move |_, _| {
                let (client, mut server) = duplex(4096);
                tokio::spawn(async move {
                    let mut all = Vec::new();
                    let _ = tokio::io::AsyncReadExt::read_to_end(&mut server, &mut all).await;
                });
                counting.fetch_add(1, Ordering::SeqCst);
                let counted = Counted(client, Arc::clone(&counting));
                async move { Ok(counted) }
            })
            .connect()
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(open.load(Ordering::SeqCst), 1, "{transport:?}");
        drop(client);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(open.load(Ordering::SeqCst), 0, "{transport:?}");
    }
}
