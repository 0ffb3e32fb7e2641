//! Stands for the HTTP server that pulls a body.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::harness::ServerEnd;

/// Serves a body that is pulled, as an HTTP server does: it writes and flushes each frame before
/// it asks for the next one, closes after the last one, and drops the body as soon as the client
/// is gone.
///
/// For an `http_body::Body` whose frames are all data, `poll_frame` is
/// `move |cx| Pin::new(&mut body).poll_frame(cx).map(…)`.
pub async fn pull<B: Buf + Send>(
    mut io: ServerEnd,
    mut poll_frame: impl FnMut(&mut Context<'_>) -> Poll<Option<B>> + Send,
) {
    loop {
        let next = poll_fn(|cx| match poll_gone(&mut io, cx) {
            Poll::Ready(()) => Poll::Ready(Err(Gone)),
            Poll::Pending => poll_frame(cx).map(Ok),
        });
        let Ok(frame) = next.await else {
            return;
        };
        let Some(mut frame) = frame else {
            // Who is gone needs no end.
            let _ = io.shutdown().await;
            return;
        };
        if io.write_all_buf(&mut frame).await.is_err() || io.flush().await.is_err() {
            return;
        }
    }
}

struct Gone;

/// Ready when nothing more can come from the client; what does come is thrown away.
fn poll_gone(io: &mut ServerEnd, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        let mut bytes = [0; 64];
        let mut into = ReadBuf::new(&mut bytes);
        match Pin::new(&mut *io).poll_read(cx, &mut into) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if !into.filled().is_empty() => {}
            Poll::Ready(_) => return Poll::Ready(()),
        }
    }
}
