//! Which version of HTTP a client speaks, told by its first bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What a client begins with that knows that the server speaks HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection's version, as far as the server needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Reads until it is clear what the client speaks, and gives back a stream that has lost nothing.
pub(super) async fn sniff<S>(mut io: S) -> io::Result<(Version, Rewound<S>)>
where
    S: AsyncRead + Unpin,
{
    let mut start = [0; PREFACE.len()];
    let mut end = 0;
    let version = loop {
        let count = io.read(&mut start[end..]).await?;
        end += count;
        // Whoever ends here has said nothing that HTTP/1.1 would not refuse in its own words.
        if count == 0 || !PREFACE.starts_with(&start[..end]) {
            break Version::Http1;
        }
        if end == PREFACE.len() {
            break Version::Http2;
        }
    };
    let rewound = Rewound {
        io,
        start,
        next: 0,
        end: end as u8,
    };
    Ok((version, rewound))
}

/// A stream whose first bytes are read again.
pub(super) struct Rewound<S> {
    io: S,
    start: [u8; PREFACE.len()],
    next: u8,
    end: u8,
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.next == self.end {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let left = &self.start[usize::from(self.next)..usize::from(self.end)];
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        self.next += count as u8;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sniffs bytes that come in two parts, and reads all of them again.
    async fn sniffed(bytes: &[u8], split: usize) -> Version {
        let (first, second) = bytes.split_at(split);
        let (version, mut rewound) = sniff(first.chain(second)).await.unwrap();
        let mut again = Vec::new();
        rewound.read_to_end(&mut again).await.unwrap();
        assert_eq!(again, bytes);
        version
    }

    #[tokio::test]
    async fn however_the_first_bytes_come() {
        let http2 = [&PREFACE[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        for (bytes, expected) in [
            (&http2[..], Version::Http2),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Version::Http1),
            (b"POST /channels/a HTTP/1.1\r\n\r\n", Version::Http1),
            (b"GET / HTTP/1.1\r\n\r\n", Version::Http1),
            (b"PRI", Version::Http1),
            (b"", Version::Http1),
        ] {
            for split in 0..=bytes.len() {
                assert_eq!(
                    sniffed(bytes, split).await,
                    expected,
                    "{bytes:?} at {split}"
                );
            }
        }
    }
}
