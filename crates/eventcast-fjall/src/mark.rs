//! What is known of the log besides the log itself: how far it was written, and how it was left.
//!
//! The mark is written after each commit and synced only as the log is opened and closed. It never
//! says more than what was committed, so a log that has less than its mark has lost something.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::{Buf, BufMut};
use eventcast_core::Epoch;

const FILE: &str = "eventcast-mark";
const MAGIC: &[u8; 8] = b"evcmark\x01";
const LEN: usize = 8 + 1 + 8 + 8 + BOOT + 8;
const BOOT: usize = 36;

/// What the mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Whether the log was closed in order and nothing was appended since.
    pub(crate) clean: bool,
    /// Whether appends were acknowledged before they were synced.
    pub(crate) lazy: bool,
    pub(crate) epoch: Epoch,
    /// The last sequence that was committed.
    pub(crate) last: u64,
    /// Which run of the machine it was written in, where the system tells.
    pub(crate) boot: Option<[u8; BOOT]>,
}

/// The file that holds the mark.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: File,
    /// What was written last.
    mark: Option<Mark>,
}

/// What the file says, and the file; `None` when it is not there or cannot be read as a mark. Who
/// has the file has the log: there is an error of the kind [`WouldBlock`](io::ErrorKind) while
/// another one has it.
pub(crate) fn open(directory: &Path) -> io::Result<(Option<Mark>, MarkFile)> {
    std::fs::create_dir_all(directory)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(directory.join(FILE))?;
    file.try_lock()?;
    let mut bytes = Vec::with_capacity(LEN);
    file.read_to_end(&mut bytes)?;
    // The file's name has to survive too.
    if let (true, Ok(directory)) = (cfg!(unix), File::open(directory)) {
        directory.sync_all()?;
    }
    let mark = Mark::decode(&bytes);
    Ok((mark, MarkFile { file, mark }))
}

impl MarkFile {
    pub(crate) fn write(&mut self, mark: &Mark) -> io::Result<()> {
        self.mark = Some(*mark);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&mark.encode())
    }

    /// The log was committed so far.
    pub(crate) fn advance(&mut self, last: u64) -> io::Result<()> {
        match self.mark {
            Some(mark) => self.write(&Mark { last, ..mark }),
            None => Ok(()),
        }
    }

    /// The log is closed in order.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        if let Some(mark) = self.mark {
            self.write(&Mark {
                clean: true,
                ..mark
            })?;
        }
        self.sync()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Mark {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LEN);
        out.put_slice(MAGIC);
        out.put_u8(u8::from(self.clean) | u8::from(self.lazy) << 1);
        out.put_u64(self.epoch.bits());
        out.put_u64(self.last);
        out.put_slice(&self.boot.unwrap_or([0; BOOT]));
        out.put_u64(check(&out));
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (said, mut sum) = bytes.split_at_checked(LEN - 8)?;
        if bytes.len() != LEN || check(said) != sum.get_u64() {
            return None;
        }
        let mut said = said.strip_prefix(MAGIC)?;
        let flags = said.get_u8();
        let (epoch, last) = (Epoch::from_bits(said.get_u64()), said.get_u64());
        let boot: [u8; BOOT] = said.try_into().ok()?;
        Some(Self {
            clean: flags & 1 != 0,
            lazy: flags & 2 != 0,
            epoch,
            last,
            boot: (boot != [0; BOOT]).then_some(boot),
        })
    }
}

/// FNV-1a: enough to tell a mark that is cut or of zeros.
fn check(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// This run of the machine: what the system was given to write is there as long as it lasts.
pub(crate) fn boot() -> Option<[u8; BOOT]> {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    id.get(..BOOT)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_read_back_and_nothing_else_does() {
        for (clean, lazy, boot) in [(true, false, None), (false, true, Some([b'7'; BOOT]))] {
            let mark = Mark {
                clean,
                lazy,
                epoch: Epoch::random(),
                last: 77,
                boot,
            };
            let bytes = mark.encode();
            assert_eq!(Mark::decode(&bytes), Some(mark));
            for index in 0..bytes.len() {
                assert_eq!(Mark::decode(&bytes[..index]), None);
                let mut altered = bytes.clone();
                altered[index] ^= 1;
                assert_eq!(Mark::decode(&altered), None);
            }
        }
        assert_eq!(Mark::decode(&[0; LEN]), None);
    }
}
