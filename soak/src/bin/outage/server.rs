//! A redis-server or nats-server of our own, with its durable settings, or the folder of a log that
//! has no server. It can be made to fail.

#[path = "../../../../crates/eventcast-nats/tests/nats/program.rs"]
mod program;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub(crate) use program::nats_syncs;
use program::{bound_to_us, nats_server};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fjall,
    Nats,
    Redis,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fjall => "fjall",
            Self::Nats => "nats",
            Self::Redis => "redis",
        })
    }
}

/// The server, and its folder, which goes with it.
pub(crate) struct Server {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    /// None of a log that the hub itself writes.
    child: Option<Child>,
    is_mounted: bool,
}

impl Server {
    /// Starts one; with `room`, on a file system of so many MiB.
    pub(crate) fn start(kind: Kind, room: Option<u32>) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("eventcast-outage-{}", std::process::id()));
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        if let Some(mib) = room {
            mount(&data, mib)?;
        }
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?;
        drop(listener);
        let mut server = Self {
            kind,
            port: port.port(),
            child: launch(kind, &folder, port.port()).map_err(|error| needed(kind, &error))?,
            folder,
            is_mounted: room.is_some(),
        };
        server.until_ready()?;
        Ok(server)
    }

    /// How a hub is told of it.
    pub(crate) fn flags(&self) -> Vec<String> {
        if self.kind == Kind::Fjall {
            let log = self.folder.join("data/log");
            return vec!["--data".to_owned(), log.display().to_string()];
        }
        let url = format!("{}://127.0.0.1:{}", self.kind, self.port);
        let mut flags = vec![format!("--{}", self.kind), url];
        if self.kind == Kind::Nats && nats_syncs() {
            flags.push("--nats-synced".to_owned());
        }
        flags
    }

    /// `SIGKILL`, and the end of it.
    pub(crate) fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.kill();
        self.child = launch(self.kind, &self.folder, self.port)
            .map_err(|error| needed(self.kind, &error))?;
        self.until_ready()
    }

    pub(crate) fn signal(&self, name: &str) -> Result<(), String> {
        let child = self.child.as_ref().ok_or("there is no server")?;
        succeed(Command::new("kill").args(["-s", name, &child.id().to_string()]))
    }

    /// Fills its file system to the last byte.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let mut file = File::create(self.filler()).map_err(|error| error.to_string())?;
        let block = vec![0; 64 << 10];
        for size in [block.len(), 1] {
            while file.write_all(&block[..size]).is_ok() {}
        }
        Ok(())
    }

    /// Makes room again, and starts the server again if it has given up.
    pub(crate) fn make_room(&mut self) -> Result<(), String> {
        fs::remove_file(self.filler()).map_err(|error| error.to_string())?;
        // JetStream is off after it found no room, until somebody restarts the server.
        if self.has_ended() || self.kind == Kind::Nats {
            return self.restart();
        }
        Ok(())
    }

    fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().is_ok_and(|status| status.is_some()))
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("data/filler")
    }

    fn until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_ready(self.kind, self.port, &self.folder) {
            if self.has_ended() || Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("{}-server does not start: {log}", self.kind));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if self.is_mounted {
            let _ = succeed(Command::new("umount").arg(self.folder.join("data")));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn launch(kind: Kind, folder: &Path, port: u16) -> io::Result<Option<Child>> {
    let log = File::create(folder.join("log"))?;
    let data = folder.join("data");
    let port = port.to_string();
    let mut command = match kind {
        Kind::Fjall => return Ok(None),
        Kind::Redis => {
            let mut command = bound_to_us("redis-server");
            command
                .args(["--bind", "127.0.0.1", "--port", &port, "--save", ""])
                .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
                .arg(data);
            command
        }
        Kind::Nats => {
            let sync = if nats_syncs() {
                ", sync_interval: always"
            } else {
                ""
            };
            let file = folder.join("server.conf");
            let data = data.display();
            // More than a small file system has: who runs out of disk was wrong about it.
            fs::write(
                &file,
                format!(
                    "host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: \"{data}\", \
                     max_file_store: 4GB{sync} }}\n"
                ),
            )?;
            let mut command = bound_to_us(nats_server());
            command.arg("-c").arg(file);
            command
        }
    };
    let again = log.try_clone()?;
    command.stdout(again).stderr(log).spawn().map(Some)
}

fn is_ready(kind: Kind, port: u16, folder: &Path) -> bool {
    if kind == Kind::Fjall {
        return true;
    }
    if kind == Kind::Nats {
        let log = fs::read_to_string(folder.join("log"));
        return log.is_ok_and(|log| log.contains("Server is ready"));
    }
    let answers = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    answers().unwrap_or(false)
}

fn mount(data: &Path, mib: u32) -> Result<(), String> {
    let size = format!("size={mib}m");
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", &size, "eventcast-outage"]);
    succeed(command.arg(data)).map_err(|error| {
        format!("a disk that is full needs a small file system, which only root may mount: {error}")
    })
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command:?}: {said}"))
}

fn needed(kind: Kind, error: &io::Error) -> String {
    format!("{kind}-server is needed: apt-get install {kind}-server ({error})")
}
