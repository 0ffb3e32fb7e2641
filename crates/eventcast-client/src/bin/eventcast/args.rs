//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use eventcast_client::Transport;
use eventcast_core::{ChannelName, ChannelSelector, EventName, Position, SlowPolicy, Start};

use crate::exit::CODES;

/// Subscribes to an eventcast hub, publishes to it and watches it.
///
/// URL is the service's, with or without its path: `http://127.0.0.1:8080` and
/// `http://127.0.0.1:8080/events` are the same. On a terminal the output is for people, otherwise
/// it is JSON, an object on each line.
#[derive(Debug, Parser)]
#[command(name = "eventcast", version, after_help = CODES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prints the events of channels as they come, and every loss
    Subscribe(Subscribe),
    /// Prints ids, sizes, gaps and the state of the connection, and no payloads
    Watch(Watch),
    /// Publishes an argument, standard input, or each of its lines
    Publish(Publish),
    /// Prints what a channel retains
    History(History),
    /// Asks the server something, and prints its answer
    Request(Request),
}

/// How the server is reached.
#[derive(Debug, ClapArgs)]
pub(crate) struct Server {
    /// The service: http, https, ws or wss
    pub(crate) url: String,
    /// Sent as `Authorization: Bearer`; better in the environment or a file, where others do not
    /// see it
    #[arg(
        long,
        env = "EVENTCAST_TOKEN",
        hide_env_values = true,
        help_heading = "Server"
    )]
    pub(crate) token: Option<String>,
    /// The token is in this file, which is read again for each connection
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "token",
        help_heading = "Server"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// One more header of every request, as `Name: value`; repeatable
    #[arg(
        short = 'H',
        long = "header",
        value_name = "HEADER",
        help_heading = "Server"
    )]
    pub(crate) headers: Vec<String>,
    /// Trusts the certificates in this file (PEM), too
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(crate) ca: Option<PathBuf>,
    /// Trusts any certificate: for development only
    #[arg(long, conflicts_with = "ca", help_heading = "Server")]
    pub(crate) insecure: bool,
    /// Goes through this proxy, in place of what HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say
    #[arg(long, value_name = "URL", help_heading = "Server")]
    pub(crate) proxy: Option<String>,
    /// Goes through no proxy
    #[arg(long, conflicts_with = "proxy", help_heading = "Server")]
    pub(crate) no_proxy: bool,
    /// How long a connection, and its first answer, may take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds_above_zero, help_heading = "Server")]
    pub(crate) connect_timeout: Duration,
}

/// What the output looks like.
#[derive(Debug, ClapArgs)]
pub(crate) struct Shape {
    /// What is printed: `auto` is `human` on a terminal, otherwise `json`; `data` is payloads only
    #[arg(short, long, value_enum, default_value_t = Output::Auto, help_heading = "Output")]
    output: Output,
    /// The same as `--output json`
    #[arg(long, conflicts_with = "output", help_heading = "Output")]
    json: bool,
}

impl Shape {
    pub(crate) fn output(&self) -> Output {
        match self.json {
            true => Output::Json,
            false => self.output,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Auto,
    Json,
    Human,
    Data,
}

/// What is subscribed to, and until when.
#[derive(Debug, ClapArgs)]
pub(crate) struct Subscription {
    /// Channels, and patterns such as `orders/*`
    #[arg(required = true, value_name = "CHANNEL", value_parser = channel_or_pattern)]
    pub(crate) channels: Vec<ChannelSelector>,
    /// Where channels start without an id: live (if not given), earliest, last:N, since:MILLIS or
    /// after:ID
    #[arg(long, value_parser = start, help_heading = "Position")]
    pub(crate) start: Option<Start>,
    /// Goes on after this id
    #[arg(long, value_name = "ID", value_parser = id, help_heading = "Position")]
    pub(crate) last_id: Option<Position>,
    /// Goes on after the id in this file, if there is one, and keeps the last id in it for the next
    /// run. What was printed comes again only if the program was killed
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "last_id",
        help_heading = "Position"
    )]
    pub(crate) last_id_file: Option<PathBuf>,
    /// Only events of this name, `message` for those without one; repeatable
    #[arg(long = "event", value_name = "NAME", help_heading = "Subscription")]
    pub(crate) events: Vec<String>,
    /// What the server does when this is too slow: gap (if not given), conflate or disconnect
    #[arg(long, value_parser = slow, help_heading = "Subscription")]
    pub(crate) slow: Option<SlowPolicy>,
    /// Transports in the order in which they are tried
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = transport,
        default_value = "sse,stream,websocket,poll",
        value_name = "LIST",
        help_heading = "Subscription"
    )]
    pub(crate) transport: Vec<Transport>,
    /// Ends after so many events
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "End")]
    pub(crate) count: Option<u64>,
    /// Ends when the first channel is completed; otherwise when all are
    #[arg(long, help_heading = "End")]
    pub(crate) until_complete: bool,
    /// Ends after so long: with 5 if --count is not reached, otherwise with 0
    #[arg(long, value_name = "SECONDS", value_parser = seconds_above_zero, help_heading = "End")]
    pub(crate) max_time: Option<Duration>,
    /// Ends with 5 after so long without a connection; 0 after the first failure. Without it, it
    /// tries for ever
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "End")]
    pub(crate) retry_for: Option<Duration>,
    /// Ends with 3 when events were lost
    #[arg(long, help_heading = "End")]
    pub(crate) fail_on_gap: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = CODES)]
pub(crate) struct Subscribe {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) subscription: Subscription,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = CODES)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) subscription: Subscription,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// What is sent.
#[derive(Debug, ClapArgs)]
pub(crate) struct Data {
    /// What is sent; standard input if there is none, or if it is `-`
    pub(crate) data: Option<String>,
    /// What it is: `auto` is text if it is UTF-8, otherwise binary
    #[arg(long = "type", value_enum, default_value_t = Kind::Auto, value_name = "TYPE")]
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Auto,
    Text,
    Json,
    Binary,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = CODES)]
pub(crate) struct Publish {
    #[command(flatten)]
    pub(crate) server: Server,
    /// The channel
    #[arg(value_parser = channel)]
    pub(crate) channel: ChannelName,
    #[command(flatten)]
    pub(crate) data: Data,
    /// One more channel that gets the same; repeatable
    #[arg(long = "to", value_name = "CHANNEL", value_parser = channel)]
    pub(crate) to: Vec<ChannelName>,
    /// Each line of standard input is an event, published as it comes
    #[arg(long, conflicts_with = "data")]
    pub(crate) lines: bool,
    /// The events' name
    #[arg(long, value_name = "NAME", value_parser = event_name)]
    pub(crate) event: Option<EventName>,
    /// A second publish with the same key stores nothing; with --lines the key is followed by `-`
    /// and the line's number. One is made up if none is given, so that retries are safe
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// How long to go on trying while the server cannot be reached or has no room
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) retry_for: Duration,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = CODES)]
pub(crate) struct History {
    #[command(flatten)]
    pub(crate) server: Server,
    /// The channel
    #[arg(value_parser = channel)]
    pub(crate) channel: ChannelName,
    /// Newest first
    #[arg(long)]
    pub(crate) newest: bool,
    /// Oldest first: after this id; newest first: before it
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) from: Option<Position>,
    /// How many events at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// All that is retained
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = CODES)]
pub(crate) struct Request {
    #[command(flatten)]
    pub(crate) server: Server,
    /// The request's name
    #[arg(value_parser = event_name)]
    pub(crate) name: EventName,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

fn channel(text: &str) -> Result<ChannelName, String> {
    ChannelName::new(text).map_err(|error| error.to_string())
}

fn channel_or_pattern(text: &str) -> Result<ChannelSelector, String> {
    ChannelSelector::try_from(text).map_err(|error| error.to_string())
}

fn event_name(text: &str) -> Result<EventName, String> {
    EventName::new(text).map_err(|error| error.to_string())
}

fn id(text: &str) -> Result<Position, String> {
    text.parse().map_err(|_| "not an id".to_owned())
}

fn start(text: &str) -> Result<Start, String> {
    text.parse()
        .map_err(|_| "expected live, earliest, last:N, since:MILLIS or after:ID".to_owned())
}

fn slow(text: &str) -> Result<SlowPolicy, String> {
    text.parse()
        .map_err(|_| "expected gap, conflate or disconnect".to_owned())
}

fn transport(text: &str) -> Result<Transport, String> {
    Transport::DEFAULT_ORDER
        .into_iter()
        .find(|transport| transport.as_str() == text)
        .ok_or_else(|| "expected sse, stream, websocket or poll".to_owned())
}

/// Seconds, fractions allowed.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "not a number of seconds".to_owned())
}

fn seconds_above_zero(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("seconds above zero are needed".to_owned()),
        seconds => Ok(seconds),
    }
}
