//! The nats-server that is there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `NATS_SERVER`, or where the package puts it.
pub(crate) fn nats_server() -> PathBuf {
    if let Some(named) = std::env::var_os("NATS_SERVER") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
        .expect("nats-server is needed: sudo apt-get install -y nats-server")
}

/// Whether it can sync each message, as since 2.10. One that cannot has what it has written after a
/// kill all the same, unless the machine ends with it.
pub(crate) fn nats_syncs() -> bool {
    let output = Command::new(nats_server()).arg("--version").output();
    let said = output.expect("nats-server runs").stdout;
    let said = String::from_utf8_lossy(&said);
    let version = said.rsplit('v').next().unwrap_or_default();
    let mut numbers = version
        .split('.')
        .filter_map(|n| n.trim().parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(2), Some(10))
}

/// A program that ends with who starts it, even if that is killed, where util-linux is there.
pub(crate) fn bound_to_us(program: impl AsRef<OsStr>) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.is_file() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}
