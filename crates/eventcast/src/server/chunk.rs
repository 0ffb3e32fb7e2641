//! A chunk of a chunked body (RFC 9112, section 7.1), on its way to the socket.

use std::io::IoSlice;

use bytes::{Buf, Bytes};
use eventcast_core::Batch;

/// A batch between its size and its end. Framing allocates nothing: it is written from here.
pub(super) struct Chunk {
    size: SizeLine,
    batch: Batch,
    end: &'static [u8],
}

impl Chunk {
    pub(super) fn new(batch: Batch) -> Self {
        Self {
            size: SizeLine::new(batch.remaining()),
            batch,
            end: b"\r\n",
        }
    }

    /// The one that ends the body.
    pub(super) fn last() -> Self {
        Self {
            size: SizeLine::default(),
            batch: Batch::default(),
            end: b"0\r\n\r\n",
        }
    }

    /// Bytes that are no part of a chunked body.
    pub(super) fn unframed(bytes: Bytes) -> Self {
        let mut batch = Batch::default();
        batch.push(bytes);
        Self {
            size: SizeLine::default(),
            batch,
            end: b"",
        }
    }

    /// Whether all of it is written.
    pub(super) fn is_empty(&self) -> bool {
        self.end.is_empty() && self.batch.is_empty()
    }

    /// How many bytes are not written yet.
    pub(super) fn remaining(&self) -> usize {
        self.size.left().len() + self.batch.remaining() + self.end.len()
    }

    /// Copies what is not written yet, for which there has to be room, and returns how much it is.
    pub(super) fn copy_to(&self, room: &mut [u8]) -> usize {
        let mut filled = 0;
        let mut copy = |bytes: &[u8]| {
            room[filled..filled + bytes.len()].copy_from_slice(bytes);
            filled += bytes.len();
        };
        copy(self.size.left());
        self.batch.chunks().for_each(&mut copy);
        copy(self.end);
        filled
    }

    /// Fills slices with what is not written yet, and returns how many.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let size = self.size.left();
        if !size.is_empty() {
            slices[0] = IoSlice::new(size);
            filled = 1;
        }
        filled += self.batch.chunks_vectored(&mut slices[filled..]);
        if filled < slices.len() && !self.end.is_empty() {
            slices[filled] = IoSlice::new(self.end);
            filled += 1;
        }
        filled
    }

    /// So many bytes are written.
    pub(super) fn advance(&mut self, count: usize) {
        let count = self.size.advance(count);
        let of_batch = count.min(self.batch.remaining());
        self.batch.advance(of_batch);
        self.end = &self.end[count - of_batch..];
        if self.is_empty() {
            // An idle connection keeps no room for a batch.
            self.batch = Batch::default();
        }
    }
}

/// A chunk's size in hexadecimal digits and a line's end.
#[derive(Default)]
struct SizeLine {
    bytes: [u8; 18],
    written: u8,
    length: u8,
}

impl SizeLine {
    fn new(size: usize) -> Self {
        let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1) as usize;
        let mut line = Self::default();
        for (place, byte) in line.bytes[..digits].iter_mut().enumerate() {
            *byte = b"0123456789abcdef"[size >> (4 * (digits - 1 - place)) & 0xf];
        }
        line.bytes[digits..digits + 2].copy_from_slice(b"\r\n");
        line.length = digits as u8 + 2;
        line
    }

    fn left(&self) -> &[u8] {
        &self.bytes[usize::from(self.written)..usize::from(self.length)]
    }

    /// Takes its part of what is written, and returns the rest.
    fn advance(&mut self, count: usize) -> usize {
        let taken = count.min(self.left().len());
        self.written += taken as u8;
        count - taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a socket gets that takes `step` bytes a write, of so many slices.
    fn written(mut chunk: Chunk, step: usize, slices: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !chunk.is_empty() {
            let mut copied = vec![0; chunk.remaining()];
            assert_eq!(chunk.copy_to(&mut copied), chunk.remaining());
            let mut room = vec![IoSlice::new(&[]); slices];
            let count = chunk.slices(&mut room);
            let bytes: Vec<u8> = room[..count].iter().flat_map(|s| s.to_vec()).collect();
            assert!(copied.starts_with(&bytes));
            let taken = bytes.len().min(step);
            assert!(taken > 0, "nothing to write of what is not written");
            out.extend_from_slice(&bytes[..taken]);
            chunk.advance(taken);
        }
        out
    }

    #[test]
    fn every_split_writes_the_same() {
        for step in 1..20 {
            for slices in 1..6 {
                let mut batch = Batch::default();
                batch.push(Bytes::from_static(b"data: a\n\n"));
                batch.push(Bytes::from_static(b"data: bc\n\n"));
                let chunk = written(Chunk::new(batch), step, slices);
                assert_eq!(chunk, b"13\r\ndata: a\n\ndata: bc\n\n\r\n");
                assert_eq!(written(Chunk::last(), step, slices), b"0\r\n\r\n");
                let head = Chunk::unframed(Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\n"));
                assert_eq!(written(head, step, slices), b"HTTP/1.1 200 OK\r\n\r\n");
            }
        }
    }

    #[test]
    fn sizes_of_any_number_fit() {
        assert_eq!(SizeLine::new(usize::MAX).left(), b"ffffffffffffffff\r\n");
        assert_eq!(SizeLine::new(0xa0).left(), b"a0\r\n");
        assert_eq!(SizeLine::new(0x1000).left(), b"1000\r\n");
        assert_eq!(SizeLine::new(9).left(), b"9\r\n");
    }
}
