//! The file that says where the last run stopped.

use std::fs;
use std::io;
use std::path::PathBuf;

use eventcast_core::Position;

use crate::exit::{Exit, Result};

/// Keeps the last id for the next run.
pub(crate) struct LastIdFile {
    path: PathBuf,
    saved: Option<Position>,
}

impl LastIdFile {
    /// Reads the file; one that is not there, or is empty, has no id.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Exit::failed(format!("{}: {error}", path.display()))),
        };
        let saved = match text.trim() {
            "" => None,
            id => Some(id.parse().map_err(|_| {
                let path = path.display();
                Exit::failed(format!("{path}: not an id; remove the file to start anew"))
            })?),
        };
        Ok(Self { path, saved })
    }

    pub(crate) fn id(&self) -> Option<Position> {
        self.saved
    }

    /// Writes the id, whole or not at all.
    pub(crate) fn save(&mut self, id: Option<Position>) -> Result {
        let Some(id) = id.filter(|id| self.saved != Some(*id)) else {
            return Ok(());
        };
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        fs::write(&beside, format!("{id}\n"))
            .and_then(|()| fs::rename(&beside, &self.path))
            .map_err(|error| Exit::failed(format!("{}: {error}", self.path.display())))?;
        self.saved = Some(id);
        Ok(())
    }
}
