//! The seam for transports, and the loop that drives one.

use std::collections::VecDeque;
use std::fmt;
use std::future::{pending, poll_fn, ready};
use std::io::IoSlice;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use crate::delivery::{Delivery, End};
use crate::format::Format;
use crate::session::{BatchLimits, Session};
use crate::time::Timer;

/// A way to bring a session's deliveries to one client.
///
/// [`drive`] feeds it: it waits for the session, encodes all that is ready in the transport's
/// [`Format`] and hands it over as one [`Batch`], to be written with one flush.
///
/// # Contract
/// - `send` writes the batch whole and in order, then flushes. An error ends the session.
/// - `closed` is done once the peer is known to be gone. It is polled only between sends and is
///   dropped and called again, so it has to be cancel safe.
/// - `close` is called at most once, after the last `send`; an error there is reported, no more.
/// - Dropping the transport closes the connection.
///
/// # Examples
/// A transport over anything that can be written to:
/// ```
/// use eventcast_core::{Batch, Delivery, Format, FormatId, Transport};
/// use tokio::io::{AsyncWrite, AsyncWriteExt};
///
/// struct Lines<W>(W);
///
/// impl Format for LineFormat {
///     fn id(&self) -> FormatId {
///         FormatId::new("example.lines")
///     }
///     fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
///         match delivery {
///             Delivery::Event(e) => out.extend([e.id().text().as_bytes(), b" ", e.payload().as_bytes(), b"\n"].concat()),
///             Delivery::Gap(gap) => out.extend(format!("! {gap}\n").bytes()),
///             _ => {}
///         }
///     }
/// }
/// struct LineFormat;
///
/// impl<W: AsyncWrite + Send + Unpin> Transport for Lines<W> {
///     type Error = std::io::Error;
///     fn format(&self) -> &dyn Format {
///         &LineFormat
///     }
///     async fn send(&mut self, mut batch: Batch) -> std::io::Result<()> {
///         self.0.write_all_buf(&mut batch).await?;
///         self.0.flush().await
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Transport`",
    note = "a transport names its `Format` and writes one `Batch` per `send`: see the example at `Transport`"
)]
pub trait Transport: Send {
    /// Why the connection failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The wire format of this connection.
    fn format(&self) -> &dyn Format;

    /// Writes a whole batch and flushes once.
    fn send(&mut self, batch: Batch) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Done when the peer is gone; never by default, when only a write can tell.
    fn closed(&mut self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// Ends the connection in the transport's own way, after the last batch.
    fn close(&mut self, end: End) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = end;
        ready(Ok(()))
    }
}

impl<T: Transport> Transport for &mut T {
    type Error = T::Error;

    fn format(&self) -> &dyn Format {
        (**self).format()
    }

    fn send(&mut self, batch: Batch) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).send(batch)
    }

    fn closed(&mut self) -> impl Future<Output = ()> + Send {
        (**self).closed()
    }

    fn close(&mut self, end: End) -> impl Future<Output = Result<(), Self::Error>> + Send {
        (**self).close(end)
    }
}

/// Encoded deliveries to be written together: a rope of shared [`Bytes`], one chunk a delivery.
///
/// As a [`Buf`] it is written with one vectored write; [`Batch::into_chunks`] keeps the borders
/// for transports that have messages of their own. A batch of one delivery, which is what comes
/// where events come one by one, allocates nothing.
#[derive(Clone, Default)]
pub struct Batch {
    chunks: SmallVec<[Bytes; 1]>,
    /// How many chunks are written; they are empty then.
    written: usize,
    remaining: usize,
}

impl Batch {
    /// Encodes deliveries in a format.
    #[must_use]
    pub fn encode<'a>(
        format: &dyn Format,
        deliveries: impl IntoIterator<Item = &'a Delivery>,
    ) -> Self {
        let deliveries = deliveries.into_iter();
        let mut batch = Self::default();
        batch.chunks.reserve(deliveries.size_hint().0);
        let id = format.id();
        for delivery in deliveries {
            batch.push(delivery.encoded_as(id, format));
        }
        batch
    }

    /// Appends a chunk; an empty one is left out.
    #[inline]
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.remaining += chunk.len();
            self.chunks.push(chunk);
        }
    }

    /// The chunks that are not written yet, one a delivery.
    #[must_use]
    pub fn into_chunks(self) -> VecDeque<Bytes> {
        self.chunks.into_iter().skip(self.written).collect()
    }

    /// The bytes that are not written yet, a slice a chunk.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.left().iter().map(|chunk| &chunk[..])
    }

    /// Whether nothing is left to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    fn left(&self) -> &[Bytes] {
        &self.chunks[self.written..]
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("chunks", &self.left().len())
            .field("remaining", &self.remaining)
            .finish()
    }
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.left().first().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.left()) {
            *slice = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(
            count <= self.remaining,
            "advanced past the end of the batch"
        );
        self.remaining -= count;
        while let Some(front) = self.chunks.get_mut(self.written) {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            // The log may have trimmed it: a slow reader holds no more than it has to.
            *front = Bytes::new();
            self.written += 1;
        }
    }
}

/// Runs a session over a transport until either ends.
///
/// Sends the opening block at once, then every batch as it becomes ready, and a heartbeat
/// whenever nothing was sent for `heartbeat`.
///
/// Returns how the session ended, or `None` when the peer went away.
///
/// # Errors
/// The transport's error, from the `send` or `close` that failed.
///
/// # Cancel safety
/// Dropping the future drops session and transport, which ends the connection; a batch that was
/// being sent may be cut anywhere.
pub async fn drive<T: Transport>(
    mut session: Session,
    mut transport: T,
    timer: &dyn Timer,
    heartbeat: Duration,
) -> Result<Option<End>, T::Error> {
    let mut opening = session.opening();
    opening.heartbeat = Some(heartbeat);
    let mut deliveries = vec![Delivery::Open(opening)];
    loop {
        let batch = Batch::encode(transport.format(), &deliveries);
        transport.send(batch).await?;
        if let Some(Delivery::End(end)) = deliveries.last() {
            let end = *end;
            transport.close(end).await?;
            return Ok(Some(end));
        }
        deliveries.clear();
        let mut idle = timer.sleep(heartbeat);
        let mut closed = pin!(transport.closed());
        let peer_gone = poll_fn(|cx| {
            if closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            if session
                .poll_batch(cx, BatchLimits::default(), &mut deliveries)
                .is_ready()
            {
                return Poll::Ready(false);
            }
            idle.as_mut().poll(cx).map(|()| false)
        })
        .await;
        if peer_gone {
            return Ok(None);
        }
        if deliveries.is_empty() {
            deliveries.push(session.heartbeat());
        }
    }
}
