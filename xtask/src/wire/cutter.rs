//! Passes bytes on to a server, until it is told to cut.

use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::failure::{Result, While as _};

/// A place between clients and a server.
#[derive(Debug)]
pub(crate) struct Cutter {
    authority: String,
    passed: Arc<Passed>,
}

#[derive(Debug, Default)]
struct Passed {
    /// Those that are open, or were.
    pairs: Mutex<Vec<Arc<Pair>>>,
    connections: AtomicUsize,
    cuts_in_blocks: AtomicUsize,
}

#[derive(Debug)]
struct Pair {
    client: TcpStream,
    server: TcpStream,
    /// The next block of an event stream is the last, and is not whole.
    in_a_block: AtomicBool,
}

impl Pair {
    fn cut(&self) {
        // One that is cut already is what is wanted.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

impl Cutter {
    /// Listens on a free port for clients of `server`.
    pub(crate) fn start(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").during("listening")?;
        let authority = listener.local_addr()?.to_string();
        let passed = Arc::new(Passed::default());
        let (server, passing) = (server.to_owned(), Arc::clone(&passed));
        thread::spawn(move || {
            for client in listener.incoming().map_while(std::result::Result::ok) {
                // A server that is gone is one that cuts.
                if let Ok(server) = TcpStream::connect(&server) {
                    pass(client, server, &passing);
                }
            }
        });
        Ok(Self { authority, passed })
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.passed.connections.load(Ordering::SeqCst)
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        for pair in self.passed.pairs().drain(..) {
            pair.cut();
        }
    }

    /// Cuts each event stream of now in its next block, between the line of the id and the block's
    /// end.
    pub(crate) fn cut_in_blocks(&self) {
        for pair in self.passed.pairs().iter() {
            pair.in_a_block.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn cuts_in_blocks(&self) -> usize {
        self.passed.cuts_in_blocks.load(Ordering::SeqCst)
    }
}

impl Passed {
    fn pairs(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Pair>>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pass(client: TcpStream, server: TcpStream, passed: &Arc<Passed>) {
    let pair = Arc::new(Pair {
        client,
        server,
        in_a_block: AtomicBool::new(false),
    });
    passed.connections.fetch_add(1, Ordering::SeqCst);
    passed.pairs().push(Arc::clone(&pair));
    let (asking, passed) = (Arc::clone(&pair), Arc::clone(passed));
    thread::spawn(move || {
        let _ = std::io::copy(&mut &asking.client, &mut &asking.server);
        asking.cut();
    });
    thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = (&pair.server).read(&mut bytes) {
            let read = &bytes[..count];
            let end = pair
                .in_a_block
                .load(Ordering::SeqCst)
                .then(|| in_block(read));
            let part = end.flatten().map_or(read, |end| &read[..end]);
            if (&pair.client).write_all(part).is_err() {
                break;
            }
            if part.len() < read.len() {
                passed.cuts_in_blocks.fetch_add(1, Ordering::SeqCst);
                break;
            }
        }
        pair.cut();
    });
}

/// Where the line of the first id ends.
fn in_block(bytes: &[u8]) -> Option<usize> {
    let id = bytes.windows(5).position(|part| part == b"\nid: ")? + 1;
    let length = bytes[id..].iter().position(|byte| *byte == b'\n')?;
    Some(id + length + 1)
}

#[cfg(test)]
mod tests {
    use super::in_block;

    #[test]
    fn a_block_is_cut_after_the_line_of_its_id() {
        let block = b"data: x\nid: 00000007-a1\n\n";
        assert_eq!(in_block(block), Some(block.len() - 1));
        assert_eq!(in_block(b"data: x\nid: 0000"), None);
        assert_eq!(in_block(b"{\"id\":\"00000007-a1\"}"), None);
    }
}
