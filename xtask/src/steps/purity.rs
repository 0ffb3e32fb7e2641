//! Who may depend on whom, read from cargo's resolved tree.

use std::collections::BTreeSet;

use crate::failure::{Failure, Result};
use crate::steps::Options;
use crate::workspace::{Workspace, output};

const CORE: &str = "eventcast-core";

/// Transports and logs: none depends on another.
const ADAPTERS: &[&str] = &[
    "eventcast-fjall",
    "eventcast-nats",
    "eventcast-poll",
    "eventcast-redis",
    "eventcast-sse",
    "eventcast-ws",
];

/// Speaks the protocol, and shares no code with the server's side of it.
const CLIENT: &str = "eventcast-client";
const NOT_IN_CLIENT: &[&str] = &["eventcast", "eventcast-poll", "eventcast-ws"];

const NOT_IN_CORE: &[&str] = &[
    "async-nats",
    "fjall",
    "http",
    "http-body",
    "hyper",
    "mio",
    "native-tls",
    "openssl",
    "redis",
    "rustls",
    "serde_json",
    "tokio",
    "tokio-tungstenite",
    "tungstenite",
];

pub(super) fn run(workspace: &Workspace, _: &Options) -> Result {
    let core = dependencies(workspace, CORE)?;
    if let Some(named) = NOT_IN_CORE.iter().find(|name| core.contains(**name)) {
        return Err(Failure::new(format!("{CORE} depends on {named}")));
    }
    if let Some(named) = core.iter().find(|name| name.starts_with("eventcast")) {
        return Err(Failure::new(format!("{CORE} depends on {named}")));
    }
    println!("{CORE}: {}", list(&core));

    for adapter in ADAPTERS {
        let used = dependencies(workspace, adapter)?;
        for other in ADAPTERS.iter().filter(|other| *other != adapter) {
            if used.contains(*other) {
                return Err(Failure::new(format!("{adapter} depends on {other}")));
            }
        }
        println!("{adapter}: {}", list(&used));
    }

    let client = dependencies(workspace, CLIENT)?;
    if let Some(named) = NOT_IN_CLIENT.iter().find(|name| client.contains(**name)) {
        return Err(Failure::new(format!("{CLIENT} depends on {named}")));
    }
    println!("{CLIENT}: {}", list(&client));
    Ok(())
}

/// Every package that `package` needs with its default features, near or far.
fn dependencies(workspace: &Workspace, package: &str) -> Result<BTreeSet<String>> {
    let tree =
        output(&mut workspace.cargo(&["tree", "-p", package, "-e", "normal", "--prefix", "none"]))?;
    let mut names: BTreeSet<String> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    if !names.remove(package) {
        return Err(Failure::new(format!("cargo tree does not name {package}")));
    }
    Ok(names)
}

fn list(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.join(" ")
}
