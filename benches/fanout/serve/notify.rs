//! The floor of tokio: a task for each connection, woken by a notify.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{HEAD, frame, group_of, publish};
use crate::fanout::spec::ServerSpec;

#[derive(Default)]
struct Group {
    log: Mutex<Log>,
    notify: Notify,
}

#[derive(Default)]
struct Log {
    events: VecDeque<Bytes>,
    /// How many were removed.
    removed: usize,
}

impl Group {
    fn push(&self, event: Bytes) {
        let mut log = self.log();
        log.events.push_back(event);
        if log.events.len() > RETAINED {
            log.events.pop_front();
            log.removed += 1;
        }
        drop(log);
        self.notify.notify_waiters();
    }

    fn end(&self) -> usize {
        let log = self.log();
        log.removed + log.events.len()
    }

    fn read(&self, next: &mut usize, into: &mut Vec<Bytes>) {
        let log = self.log();
        let first = *next - log.removed;
        let new = log.events.range(first..).take(MAX_SLICES);
        into.extend(new.cloned());
        *next += into.len();
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn serve(spec: &ServerSpec) -> io::Result<()> {
    let groups: Arc<[Group]> = (0..spec.shape.groups).map(|_| Group::default()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let joined = groups.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(stream, joined.clone()));
        }
        #[allow(unreachable_code, reason = "it names the error's type")]
        io::Result::Ok(())
    });
    publish(address, move |number, time| {
        let group = &groups[number as usize % groups.len()];
        group.push(frame(number, time).into());
    })
    .await
}

async fn connection(mut stream: TcpStream, groups: Arc<[Group]>) -> io::Result<()> {
    let mut request = [0; 256];
    let length = stream.read(&mut request).await?;
    let group = group_of(&request[..length]).ok_or(io::ErrorKind::InvalidData)?;
    let group = &groups[group];
    let mut next = group.end();
    stream.write_all(HEAD).await?;
    let mut batch = Vec::new();
    loop {
        let mut notified = pin!(group.notify.notified());
        notified.as_mut().enable();
        group.read(&mut next, &mut batch);
        if batch.is_empty() {
            notified.await;
        } else {
            write(&mut stream, &mut batch).await?;
        }
    }
}

async fn write(stream: &mut TcpStream, batch: &mut Vec<Bytes>) -> io::Result<()> {
    let mut first = 0;
    while first < batch.len() {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        for (slice, event) in slices.iter_mut().zip(&batch[first..]) {
            *slice = IoSlice::new(event);
        }
        let mut written = stream
            .write_vectored(&slices[..batch.len() - first])
            .await?;
        while first < batch.len() && written >= batch[first].len() {
            written -= batch[first].len();
            first += 1;
        }
        if written > 0 {
            batch[first].advance(written);
        }
    }
    batch.clear();
    Ok(())
}

const RETAINED: usize = 1024;
const MAX_SLICES: usize = 64;
