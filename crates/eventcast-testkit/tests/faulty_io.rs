//! `FaultyIo` does what its plan says, each time the same.

use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use eventcast_testkit::{Faults, FaultyIo, poll_once};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};

fn faulty(faults: Faults) -> (FaultyIo<DuplexStream>, DuplexStream) {
    let (stream, peer) = duplex(64);
    (FaultyIo::new(stream, faults), peer)
}

#[tokio::test]
async fn writes_and_reads_fall_short() {
    let faults = Faults::new().with_short_writes(2).with_short_reads(3);
    let (mut stream, mut peer) = faulty(faults);
    assert_eq!(stream.write(b"abcdef").await.unwrap(), 2);
    let slices = [IoSlice::new(b"c"), IoSlice::new(b"def")];
    assert_eq!(stream.write_vectored(&slices).await.unwrap(), 2);
    peer.write_all(b"12345").await.unwrap();
    let mut read = [0; 10];
    assert_eq!(stream.read(&mut read).await.unwrap(), 3);
    assert_eq!(stream.read(&mut read).await.unwrap(), 2);
    drop(stream);
    let mut written = String::new();
    peer.read_to_string(&mut written).await.unwrap();
    assert_eq!(written, "abcd");
}

#[tokio::test]
async fn chosen_polls_are_pending_once_and_wake() {
    let polls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&polls);
    let faults = Faults::new()
        .with_short_writes(1)
        .with_pending(move |poll| {
            seen.lock().unwrap().push(poll);
            poll.is_multiple_of(3)
        });
    let (mut stream, _peer) = faulty(faults);
    assert!(poll_once(stream.write(b"x")).is_none());
    stream.write_all(b"abcd").await.unwrap();
    assert_eq!(*polls.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn it_fails_after_so_many_bytes() {
    let (mut stream, mut peer) = faulty(Faults::new().with_failure_after(3));
    let error = stream.write_all(b"abcdef").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert!(stream.flush().await.is_err());
    drop(stream);
    let mut written = String::new();
    peer.read_to_string(&mut written).await.unwrap();
    assert_eq!(written, "abc");
}

#[tokio::test]
async fn a_stall_holds_writes_until_it_ends() {
    let (mut stream, mut peer) = faulty(Faults::new());
    let stall = stream.stall();
    stall.begin();
    let writing = tokio::spawn(async move {
        stream.write_all(b"late").await.unwrap();
        stream.flush().await.unwrap();
        stream
    });
    let mut read = [0; 4];
    for _ in 0..10 {
        tokio::task::yield_now().await;
        assert!(poll_once(peer.read(&mut read)).is_none());
    }
    stall.end();
    peer.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"late");
    let mut stream = writing.await.unwrap();
    assert!(Pin::new(&mut stream).is_write_vectored());
}
