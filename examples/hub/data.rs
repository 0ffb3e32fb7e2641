//! Where the hub keeps its events: in memory, or in a directory.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use eventcast::{Hub, HubConfig};
use eventcast_fjall::{FjallBackplane, FjallConfig, Fsync};

/// `--data` and `--fsync`.
#[derive(Default)]
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
}

/// The hub, with what the directory holds of it.
pub(crate) async fn hub(config: HubConfig, data: DataOptions) -> Result<Hub, Box<dyn Error>> {
    let Some(directory) = data.directory else {
        return Ok(Hub::with_config(config));
    };
    let cannot = |error: eventcast::BackplaneError| {
        let cause = error.source().map(|cause| format!(": {cause}"));
        format!(
            "--data {}: {error}{}",
            directory.display(),
            cause.unwrap_or_default()
        )
    };
    let mut log = FjallConfig::new(&directory);
    if let Some(fsync) = data.fsync {
        log = log.with_fsync(fsync);
    }
    let log = FjallBackplane::open(log).await.map_err(cannot)?;
    Ok(Hub::open(config, log).await.map_err(cannot)?)
}
