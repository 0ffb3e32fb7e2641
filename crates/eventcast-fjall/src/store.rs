//! The database and its keyspaces.

use bytes::Bytes;
use eventcast_core::{BackplaneError, ChannelName, Lineage};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use crate::channel::{Channel, Head, decode_lineage};
use crate::config::FjallConfig;
use crate::failure::unreadable;
use crate::journal;

/// Where the head is, in the index.
pub(crate) const HEAD: &[u8] = b"h";
/// Where the epochs are.
pub(crate) const LINEAGE: &[u8] = b"l";
/// What channels are found by of which something is soon too old.
pub(crate) const DUE: u8 = b'd';
/// What completed channels are found by of which only the end is left.
pub(crate) const ENDS: u8 = b'e';

/// How much of what was written last is in memory, for each of the keyspaces that grow.
const MEMTABLE: u64 = 16 << 20;
/// How much may be in journals before keyspaces are written out that hold them back.
const JOURNALS: u64 = 192 << 20;

/// The database and its keyspaces.
pub(crate) struct Store {
    db: Database,
    pub(crate) records: Keyspace,
    pub(crate) channels: Keyspace,
    /// Idempotency keys of two generations, the older of which is emptied as a whole.
    pub(crate) keys: [Keyspace; 2],
    pub(crate) index: Keyspace,
}

/// Something that is written.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) space: Space,
    pub(crate) key: Bytes,
    /// `None` to remove it.
    pub(crate) value: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Space {
    Records,
    Channels,
    Keys(usize),
    Index,
}

impl Store {
    /// Nobody else may have the directory.
    pub(crate) fn open(config: &FjallConfig) -> fjall::Result<Self> {
        journal::remove_half_made(&config.path)?;
        journal::cut_torn_end(&config.path)?;
        let db = Database::builder(&config.path)
            .cache_size(config.cache_bytes)
            .max_journaling_size(JOURNALS)
            .worker_threads(2)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
        let keyspace = |name| db.keyspace(name, options);
        Ok(Self {
            records: keyspace("records")?,
            channels: keyspace("channels")?,
            keys: [keyspace("keys0")?, keyspace("keys1")?],
            index: keyspace("index")?,
            db,
        })
    }

    /// Writes all of it or nothing, and makes it as durable as the mode says before anyone can
    /// read it.
    pub(crate) fn commit(&self, changes: &[Change], mode: PersistMode) -> fjall::Result<()> {
        let mut batch = self.db.batch().durability(Some(mode));
        for change in changes {
            let space = match change.space {
                Space::Records => &self.records,
                Space::Channels => &self.channels,
                Space::Keys(generation) => &self.keys[generation],
                Space::Index => &self.index,
            };
            match &change.value {
                Some(value) => batch.insert(space, change.key.clone(), value.clone()),
                None => batch.remove(space, change.key.clone()),
            }
        }
        batch.commit()
    }

    /// Makes durable what was committed.
    pub(crate) fn sync(&self) -> fjall::Result<()> {
        self.db.persist(PersistMode::SyncData)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.db.snapshot()
    }

    /// Where the log ends; `None` for a new one.
    pub(crate) fn head(&self) -> Result<Option<Head>, BackplaneError> {
        let head = self.index.get(HEAD).map_err(unreadable)?;
        let decode = |bytes: fjall::Slice| Head::decode(bytes.into()).ok_or_else(garbled);
        head.map(decode).transpose()
    }

    pub(crate) fn lineage(&self) -> Result<Option<Lineage>, BackplaneError> {
        let lineage = self.index.get(LINEAGE).map_err(unreadable)?;
        let decode = |bytes: fjall::Slice| decode_lineage(bytes.into()).ok_or_else(garbled);
        lineage.map(decode).transpose()
    }

    pub(crate) fn channel(
        &self,
        snapshot: &Snapshot,
        name: &ChannelName,
    ) -> Result<Option<Channel>, BackplaneError> {
        let channel = snapshot.get(&self.channels, name.as_str());
        let decode = |bytes: fjall::Slice| Channel::decode(bytes.into()).ok_or_else(garbled);
        channel.map_err(unreadable)?.map(decode).transpose()
    }
}

pub(crate) fn garbled() -> BackplaneError {
    BackplaneError::new("what the log holds is not readable")
}
