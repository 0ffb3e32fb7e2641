//! A log in a directory.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eventcast_fjall::{FjallConfig, Fsync};

/// `--data` and `--fsync`.
#[derive(Debug, Default)]
pub(crate) struct DataOptions {
    pub(crate) directory: Option<PathBuf>,
    pub(crate) fsync: Option<Fsync>,
}

impl DataOptions {
    /// `each`, `batch`, or `interval` with its seconds behind a colon, one by default.
    pub(crate) fn parse_fsync(&mut self, text: &str) -> Result<(), Box<dyn Error>> {
        let interval = |seconds: &str| {
            let time = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
            (time >= Duration::from_millis(1)).then_some(Fsync::Interval(time))
        };
        let fsync = match text {
            "each" => Some(Fsync::Each),
            "batch" => Some(Fsync::Batch),
            "interval" => interval("1"),
            _ => text.strip_prefix("interval:").and_then(interval),
        };
        let known = "each, batch, interval or interval:SECONDS";
        self.fsync = Some(fsync.ok_or(format!("--fsync {text}: {known} (try --help)"))?);
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), Box<dyn Error>> {
        match (&self.directory, self.fsync) {
            (None, Some(_)) => Err("--fsync is for --data (try --help)".into()),
            _ => Ok(()),
        }
    }

    /// How it is written in a directory.
    pub(crate) fn log(&self, directory: &Path) -> FjallConfig {
        let log = FjallConfig::new(directory);
        match self.fsync {
            Some(fsync) => log.with_fsync(fsync),
            None => log,
        }
    }
}
