//! The hub's command line.

use std::error::Error;
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use eventcast::{AllowedOrigins, Retention, ServerConfig, ServiceConfig};
use lexopt::prelude::*;
use tracing_subscriber::filter::LevelFilter;

use crate::backplane::Backplane;

pub(crate) const HELP: &str = "\
A hub to try: publish by POST, receive over Server-Sent Events and WebSocket, resume exactly.

Usage: hub [OPTIONS]

  --listen ADDR              address and port; port 0 takes a free one [127.0.0.1:8080]
  --tls-listen ADDR          another address and port, for https
  --cert FILE                its certificate, in PEM; without one the hub makes its own
  --key FILE                 the certificate's key, in PEM
  --retain-count N           events kept for each channel [10000]
  --retain-bytes BYTES       bytes kept for each channel [8388608]
  --retain-age SECONDS       how long events are kept [600]
  --data DIR                 keep events in this directory, over restarts and crashes
  --fsync WHEN               write them to the disk itself for each one, or for a batch of those
                             that wait, before they are acknowledged, or every interval[:SECONDS]
                             after; what a power failure may cost [batch]
  --redis URL                keep events on Redis, shared with the other hubs there: redis://…
  --nats URL                 the same on NATS JetStream: nats://…
  --nats-synced              that server runs with sync_interval: always
  --namespace NAME           which hubs share a log there [eventcast]
  --heartbeat SECONDS        sign of life on idle connections [15]
  --header-timeout SECONDS   for a request's head to arrive [10]
  --body-timeout SECONDS     for a publish's body to arrive [30]
  --write-timeout SECONDS    for a write without progress [30]
  --drain SECONDS            over how long SIGTERM or Ctrl-C spreads its goodbyes [0]
  --max-message BYTES        largest payload [1048576]
  --allow-origin ORIGIN      pages of this origin may use the hub, too; repeatable, * is any
  --allow-host NAME          requests to this host name may publish, too; repeatable
  --log LEVEL                print what happens: info is drains and revocations, debug is sessions,
                             gaps, limits and refusals, too [off]
  --echo                     WebSockets at /echo get every message back, up to 16 MiB each
  --help                     this text

Everybody may subscribe. Publishing, /metrics and /stats are open to this machine only: the hub
has to listen on loopback addresses, and the request has to name a loopback host and come through
no proxy. The echo answers everybody, pages of any origin included.";

pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) tls_listen: Option<SocketAddr>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) retention: Retention,
    pub(crate) backplane: Backplane,
    pub(crate) service: ServiceConfig,
    pub(crate) server: ServerConfig,
    pub(crate) max_message: usize,
    pub(crate) allow_hosts: Vec<String>,
    pub(crate) echo: bool,
    pub(crate) log: LevelFilter,
}

impl Options {
    /// The options; `None` when help is asked for.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_listen: None,
            certificate: None,
            key: None,
            retention: Retention::new(),
            backplane: Backplane::default(),
            service: ServiceConfig::new(),
            server: ServerConfig::new().with_drain_window(Duration::ZERO),
            max_message: 1 << 20,
            allow_hosts: Vec::new(),
            echo: false,
            log: LevelFilter::OFF,
        };
        let mut origins = AllowedOrigins::same_origin();
        let mut parser = lexopt::Parser::from_iter(arguments);
        while let Some(argument) = parser.next().map_err(with_hint)? {
            let Long(flag) = argument else {
                return Err(with_hint(argument.unexpected()));
            };
            let flag = flag.to_owned();
            match flag.as_str() {
                "help" => return Ok(None),
                "listen" => options.listen = address(&mut parser, &flag)?,
                "tls-listen" => options.tls_listen = Some(address(&mut parser, &flag)?),
                "cert" => options.certificate = Some(value(&mut parser, &flag)?),
                "key" => options.key = Some(value(&mut parser, &flag)?),
                "retain-count" => {
                    let count = at_least_one(&mut parser, &flag)?;
                    options.retention = options.retention.with_count(count);
                }
                "retain-bytes" => {
                    let bytes = at_least_one(&mut parser, &flag)?;
                    options.retention = options.retention.with_bytes(bytes as u64);
                }
                "retain-age" => {
                    options.retention = options.retention.with_age(seconds(&mut parser, &flag)?);
                }
                "data" => options.backplane.data.directory = Some(value(&mut parser, &flag)?),
                "fsync" => options
                    .backplane
                    .data
                    .parse_fsync(&value::<String>(&mut parser, &flag)?)?,
                "redis" => options.backplane.redis = Some(value(&mut parser, &flag)?),
                "nats" => options.backplane.nats = Some(value(&mut parser, &flag)?),
                "nats-synced" => options.backplane.nats_synced = true,
                "namespace" => options.backplane.namespace = Some(value(&mut parser, &flag)?),
                "heartbeat" => {
                    let heartbeat = seconds(&mut parser, &flag)?;
                    options.service = options.service.with_heartbeat(heartbeat);
                }
                "header-timeout" => {
                    let timeout = seconds(&mut parser, &flag)?;
                    options.server = options.server.with_header_timeout(timeout);
                }
                "body-timeout" => {
                    let timeout = seconds(&mut parser, &flag)?;
                    options.service = options.service.with_body_timeout(timeout);
                }
                "write-timeout" => {
                    let timeout = seconds(&mut parser, &flag)?;
                    options.service = options.service.with_write_timeout(timeout);
                    options.server = options.server.with_write_timeout(timeout);
                }
                "drain" => {
                    let window = zero_or_more(&mut parser, &flag)?;
                    options.server = options.server.with_drain_window(window);
                }
                "max-message" => {
                    options.max_message = at_least_one(&mut parser, &flag)?;
                    options.service = options.service.with_max_message(options.max_message);
                }
                "allow-origin" => origins = origins.and(value::<String>(&mut parser, &flag)?),
                "echo" => options.echo = true,
                "log" => options.log = value(&mut parser, &flag)?,
                "allow-host" => options.allow_hosts.push(value(&mut parser, &flag)?),
                _ => return Err(with_hint(Long(&flag).unexpected())),
            }
        }
        if options.certificate.is_some() != options.key.is_some() {
            return Err("--cert and --key go together (try --help)".into());
        }
        if options.certificate.is_some() && options.tls_listen.is_none() {
            return Err("--cert and --key are for --tls-listen (try --help)".into());
        }
        options.backplane.check()?;
        options.service = options.service.with_allowed_origins(origins);
        Ok(Some(options))
    }
}

fn value<T: FromStr<Err: std::fmt::Display>>(
    parser: &mut lexopt::Parser,
    flag: &str,
) -> Result<T, Box<dyn Error>> {
    let text = parser
        .value()
        .map_err(with_hint)?
        .string()
        .map_err(with_hint)?;
    text.parse()
        .map_err(|error| format!("--{flag} {text}: {error} (try --help)").into())
}

/// An address and port, or a name and port.
fn address(parser: &mut lexopt::Parser, flag: &str) -> Result<SocketAddr, Box<dyn Error>> {
    let text: String = value(parser, flag)?;
    let resolved = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    resolved.ok_or_else(|| format!("--{flag} {text}: not an address and port (try --help)").into())
}

fn at_least_one(parser: &mut lexopt::Parser, flag: &str) -> Result<usize, Box<dyn Error>> {
    match value(parser, flag)? {
        0 => Err(format!("--{flag} 0: at least 1 is needed (try --help)").into()),
        number => Ok(number),
    }
}

/// Seconds, fractions allowed, above zero.
fn seconds(parser: &mut lexopt::Parser, flag: &str) -> Result<Duration, Box<dyn Error>> {
    let duration = zero_or_more(parser, flag)?;
    if duration >= Duration::from_millis(1) {
        return Ok(duration);
    }
    Err(format!("--{flag}: seconds above zero are needed (try --help)").into())
}

/// Seconds, fractions allowed.
fn zero_or_more(parser: &mut lexopt::Parser, flag: &str) -> Result<Duration, Box<dyn Error>> {
    let seconds: f64 = value(parser, flag)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("--{flag} {seconds}: not a number of seconds (try --help)").into())
}

fn with_hint(error: lexopt::Error) -> Box<dyn Error> {
    format!("{error} (try --help)").into()
}
