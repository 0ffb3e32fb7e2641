//! The transport: it writes lines, and its flaws.

use std::io;

use bytes::{Buf, Bytes};
use eventcast_core::{Batch, End, Format, Transport};
use eventcast_testkit::poll_once;
use eventcast_testkit::transport::ServerEnd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::Flaw;
use super::format::LineFormat;

pub struct Lines {
    reader: ReadHalf<ServerEnd>,
    writer: Option<WriteHalf<ServerEnd>>,
    format: LineFormat,
    batches: usize,
    /// Where an unbounded one puts what it should write.
    heap: Option<mpsc::UnboundedSender<Batch>>,
    /// A gap that is told late.
    late: Option<Bytes>,
}

impl Lines {
    pub fn new(io: ServerEnd, flaw: Flaw) -> Self {
        let (reader, writer) = tokio::io::split(io);
        let mut lines = Self {
            reader,
            writer: Some(writer),
            format: LineFormat(flaw),
            batches: 0,
            heap: None,
            late: None,
        };
        if flaw == Flaw::HoldsWithoutBound {
            let (sender, mut receiver) = mpsc::unbounded_channel::<Batch>();
            let mut writer = lines.writer.take().unwrap();
            tokio::spawn(async move {
                while let Some(mut batch) = receiver.recv().await {
                    if writer.write_all_buf(&mut batch).await.is_err() {
                        return;
                    }
                    let _ = writer.flush().await;
                }
            });
            lines.heap = Some(sender);
        }
        lines
    }

    /// The batch as the flaw would have it.
    fn spoil(&mut self, batch: Batch) -> Batch {
        let mut chunks: Vec<Bytes> = batch.into_chunks().into();
        match self.format.0 {
            Flaw::Doubles if chunks.len() > 2 => chunks.insert(1, chunks[1].clone()),
            Flaw::Drops if chunks.len() > 2 => drop(chunks.remove(1)),
            Flaw::GapsLate => {
                chunks.extend(self.late.take());
                if let Some(at) = chunks.iter().position(|line| line.starts_with(b"gap")) {
                    let gap = chunks.remove(at);
                    chunks.insert((at + 1).min(chunks.len()), gap);
                }
            }
            Flaw::Swaps if chunks.len() > 2 => chunks.swap(0, 1),
            _ => {}
        }
        let mut batch = Batch::default();
        chunks.into_iter().for_each(|chunk| batch.push(chunk));
        batch
    }

    async fn write(&mut self, mut batch: Batch) -> io::Result<()> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        match self.format.0 {
            Flaw::GivesUpOnPending => {
                let _ = poll_once(writer.write_all_buf(&mut batch));
            }
            Flaw::IgnoresShortWrites => {
                let bytes = batch.copy_to_bytes(batch.remaining());
                let _ = writer.write(&bytes).await?;
            }
            Flaw::WritesEachChunk => {
                for chunk in batch.into_chunks() {
                    writer.write_all(&chunk).await?;
                }
            }
            _ => writer.write_all_buf(&mut batch).await?,
        }
        match self.format.0 {
            Flaw::NeverFlushes => Ok(()),
            _ => writer.flush().await,
        }
    }
}

impl Transport for Lines {
    type Error = io::Error;

    fn format(&self) -> &dyn Format {
        &self.format
    }

    async fn send(&mut self, batch: Batch) -> io::Result<()> {
        self.batches += 1;
        let flaw = self.format.0;
        if flaw == Flaw::EndsEarly && self.batches > 3 {
            return Err(io::ErrorKind::Other.into());
        }
        let batch = self.spoil(batch);
        if let Some(heap) = &self.heap {
            let _ = heap.send(batch);
            return Ok(());
        }
        match self.write(batch).await {
            Err(_) if flaw == Flaw::IgnoresWriteErrors => Ok(()),
            result => result,
        }
    }

    async fn closed(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.reader.read(&mut bytes).await, Ok(count) if count > 0) {}
    }

    async fn close(&mut self, _: End) -> io::Result<()> {
        if self.format.0 == Flaw::StaysOpen {
            std::future::pending::<()>().await;
        }
        match &mut self.writer {
            Some(writer) => writer.shutdown().await,
            None => Ok(()),
        }
    }
}
