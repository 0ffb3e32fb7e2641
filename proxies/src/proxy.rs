//! nginx and HAProxy as processes, with the configurations that the documentation shows.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use tokio::process::Command;

use crate::certificate::Identity;
use crate::hub::Hub;
use crate::link::Door;
use crate::program::Program;
use crate::route::Route;

pub(crate) const NGINX: &str = include_str!("../../docs/deploying/nginx.conf");
pub(crate) const HAPROXY: &str = include_str!("../../docs/deploying/haproxy.cfg");

/// What all proxies share.
pub(crate) struct Stage<'a> {
    pub(crate) nginx: &'a Path,
    pub(crate) haproxy: &'a Path,
    pub(crate) folder: &'a Path,
    pub(crate) identity: &'a Identity,
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) route: Route,
    pub(crate) door: Door,
    program: Program,
}

impl Proxy {
    /// Starts one before these hubs. `patience` takes the place of its timeouts of 60 s.
    pub(crate) async fn start(
        stage: &Stage<'_>,
        route: Route,
        hubs: [&Hub; 2],
        patience: &str,
    ) -> Result<Self, String> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_start(stage, route, hubs, patience).await {
                // Somebody else may have taken the port in between.
                Err(error) if tries < 3 => println!("{route}: once more, after: {error}"),
                done => return done,
            }
        }
    }

    async fn try_start(
        stage: &Stage<'_>,
        route: Route,
        hubs: [&Hub; 2],
        patience: &str,
    ) -> Result<Self, String> {
        let [plain, encrypted] = free_addresses()?;
        let folder = stage.folder.join(format!("proxy-{}", plain.port()));
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))
        };
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let (mut command, file, text) = if route.is_nginx() {
            let mut command = Command::new(stage.nginx);
            command.arg("-p").arg(&folder).args(["-e", "stderr", "-c"]);
            command.arg(folder.join("nginx.conf"));
            write("nginx.conf", AROUND)?;
            (command, "eventcast.conf", nginx(route, hubs))
        } else {
            let mut command = Command::new(stage.haproxy);
            command.arg("-db").arg("-f").arg(folder.join("haproxy.cfg"));
            (command, "haproxy.cfg", haproxy(route, hubs))
        };
        let paths = [
            (
                "/etc/ssl/eventcast/hub.pem",
                "/etc/ssl/eventcast/certificate.pem",
            ),
            ("/etc/ssl/eventcast", &stage.folder.display().to_string()),
            ("60s", patience),
        ];
        let mut text = listen(&text?, plain, encrypted, route)?;
        for (from, to) in paths {
            text = replace(&text, from, to)?;
        }
        write(file, &text)?;
        let mut program = Program::start(&route.to_string(), &mut command)?;
        program.listens(encrypted).await?;
        Ok(Self {
            route,
            door: Door {
                plain,
                encrypted,
                identity: stage.identity.clone(),
            },
            program,
        })
    }

    /// What it complained of.
    pub(crate) fn said(&mut self) -> String {
        self.program.said()
    }
}

fn nginx(route: Route, hubs: [&Hub; 2]) -> Result<String, String> {
    let mut text = NGINX.to_owned();
    let mut addresses = hubs.map(|hub| hub.plain);
    if route == Route::NginxTls {
        addresses = hubs.map(|hub| hub.encrypted);
        text = replace(&text, "proxy_pass http://eventcast;", "")
            .and_then(|text| replace(&text, "# proxy_pass https://", "proxy_pass https://"))
            .and_then(|text| replace(&text, "# proxy_ssl_", "proxy_ssl_"))?;
    }
    replace(&text, "127.0.0.1:8080", &addresses[0].to_string())
        .and_then(|text| replace(&text, "127.0.0.1:8081", &addresses[1].to_string()))
}

fn haproxy(route: Route, hubs: [&Hub; 2]) -> Result<String, String> {
    let mut text = HAPROXY.to_owned();
    let alternative = match route {
        Route::HaproxyHttp2 => Some("server one 127.0.0.1:8080 proto"),
        Route::HaproxyTls => Some("server one 127.0.0.1:8443 ssl"),
        _ => None,
    };
    if let Some(line) = alternative {
        text = replace(&text, "\n    server one 127.0.0.1:8080\n", "\n")
            .and_then(|text| replace(&text, &format!("# {line}"), line))?;
    }
    replace(&text, "127.0.0.1:8080", &hubs[0].plain.to_string())
        .and_then(|text| replace(&text, "127.0.0.1:8443", &hubs[0].encrypted.to_string()))
        .and_then(|text| replace(&text, "127.0.0.1:8081", &hubs[1].plain.to_string()))
}

fn listen(
    text: &str,
    plain: SocketAddr,
    encrypted: SocketAddr,
    route: Route,
) -> Result<String, String> {
    if route.is_nginx() {
        replace(text, "listen 80;", &format!("listen {plain};"))
            .and_then(|text| replace(&text, "listen 443 ", &format!("listen {encrypted} ")))
    } else {
        replace(text, "bind :80\n", &format!("bind {plain}\n"))
            .and_then(|text| replace(&text, "bind :443 ", &format!("bind {encrypted} ")))
    }
}

fn replace(text: &str, from: &str, to: &str) -> Result<String, String> {
    if text.contains(from) {
        Ok(text.replace(from, to))
    } else {
        Err(format!("the configuration does not have `{from}`"))
    }
}

/// Two ports that were free a moment ago.
fn free_addresses() -> Result<[SocketAddr; 2], String> {
    let listen = || TcpListener::bind("127.0.0.1:0");
    let found = listen().and_then(|one| Ok([one.local_addr()?, listen()?.local_addr()?]));
    found.map_err(|error| format!("no free port: {error}"))
}

/// The file that includes the documented one. It compresses whatever it may, so that a location
/// that forgets to say otherwise is noticed; one process, so that killing it leaves nothing.
const AROUND: &str = "
daemon off;
master_process off;
pid nginx.pid;
events { worker_connections 4096; }
http {
    access_log off;
    gzip on;
    gzip_types *;
    gzip_min_length 0;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include eventcast.conf;
}
";
