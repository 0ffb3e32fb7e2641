//! A nats-server of our own: on a free port, with its own folder, gone with the test.

#[path = "program.rs"]
mod program;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use program::nats_syncs;
use program::{bound_to_us, nats_server};

pub(crate) struct Server {
    folder: PathBuf,
    child: Option<Child>,
    port: u16,
    scheme: &'static str,
    extra: String,
    jetstream: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with("", "", "nats")
    }

    /// With more lines for its configuration, and some for `jetstream`.
    pub(crate) fn with(extra: &str, jetstream: &str, scheme: &'static str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("eventcast-nats-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the server");
        let mut server = Self {
            extra: extra.replace("{folder}", &folder.display().to_string()),
            folder,
            child: None,
            port: 0,
            scheme,
            jetstream: jetstream.to_owned(),
        };
        server.run();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.port)
    }

    /// Starts it: on the same port as before, if it ran before.
    pub(crate) fn run(&mut self) {
        let sync = if nats_syncs() {
            "sync_interval: always,"
        } else {
            ""
        };
        let folder = self.folder.display().to_string();
        let port = if self.port == 0 {
            -1
        } else {
            i32::from(self.port)
        };
        let text = format!(
            "host: 127.0.0.1\nport: {port}\nserver_name: test\n\
             jetstream {{ store_dir: \"{folder}/store\", {sync} {} }}\n{}\n",
            self.jetstream, self.extra
        );
        let config = self.folder.join("server.conf");
        std::fs::write(&config, text).expect("the server's configuration");
        let log = std::fs::File::create(self.folder.join("log")).expect("the server's log");
        let child = bound_to_us(nats_server())
            .arg("-c")
            .arg(&config)
            .arg("--ports_file_dir")
            .arg(&self.folder)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nats-server starts");
        let ports = self
            .folder
            .join(format!("nats-server_{}.ports", child.id()));
        let pid = child.id();
        self.child = Some(child);
        let mut looks = 0;
        while self.port == 0 || !self.is_ready() {
            let said = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let exited = self
                .child
                .as_mut()
                .and_then(|c| c.try_wait().ok())
                .flatten();
            assert!(exited.is_none(), "nats-server {pid} ended: {}", said());
            looks += 1;
            assert!(looks < 3_000, "{}", said());
            if let Ok(text) = std::fs::read_to_string(&ports)
                && let Some(port) = port_of(&text)
            {
                self.port = port;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_ready(&self) -> bool {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.contains("Server is ready")
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Forgets everything that it stored.
    pub(crate) fn wipe(&self) {
        std::fs::remove_dir_all(self.folder.join("store")).expect("the store is there");
    }

    pub(crate) fn save(&self) {
        copy(&self.folder.join("store"), &self.folder.join("saved"));
    }

    pub(crate) fn restore(&self) {
        self.wipe();
        copy(&self.folder.join("saved"), &self.folder.join("store"));
    }

    /// Stops it; when this returns all of it stands still, where the system tells.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
        let pid = self.child.as_ref().expect("the server runs").id();
        while runs(pid) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("the server runs");
        let status = Command::new("kill")
            .args([name, &child.id().to_string()])
            .status();
        assert!(status.expect("kill is there").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whether a thread of a process is not stopped yet, on Linux.
fn runs(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    let stats =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    // Behind the name, which is in brackets, is the state.
    let mut states = stats.filter_map(|stat| stat.rsplit(") ").next()?.chars().next());
    states.any(|state| state != 'T')
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("cp is there").success());
}

fn port_of(ports: &str) -> Option<u16> {
    let start = ports.find("\"nats\"").or_else(|| ports.find("\"tls\""))?;
    let address = ports[start..].split("://").nth(1)?;
    let digits = address.split(':').nth(1)?;
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
