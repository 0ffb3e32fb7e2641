//! What a member costs: `cargo run --release -p eventcast-core --example presence_memory [PER_CHANNEL] [STATE]`
//! (Linux).
#![allow(clippy::print_stdout, reason = "it tells what it has measured")]

use std::error::Error;
use std::fs;

use eventcast_core::{Hub, HubConfig, Member, Payload, PresenceConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let per_channel: usize = args.next().map_or(Ok(1_000), |n| n.parse())?;
    let state: usize = args.next().map_or(Ok(0), |n| n.parse())?;
    let config = PresenceConfig::new()
        .with_max_bytes(1 << 30)
        .with_max_channels(MEMBERS);
    let hub = Hub::with_config(HubConfig::new().with_presence(config));
    let presence = hub.presence();
    let before = resident()?;
    let mut entered = Vec::with_capacity(MEMBERS);
    for k in 0..MEMBERS {
        let mut member = Member::new(format!("member-{k:09}"))?;
        if state > 0 {
            member = member.with_state(Payload::text("x".repeat(state)));
        }
        entered.push(presence.enter(format!("room-{}", k / per_channel), member)?);
    }
    presence.maintain();
    let taken = (resident()? - before) / MEMBERS;
    let charged = presence.stats().bytes / MEMBERS;
    println!(
        "{MEMBERS} members, {per_channel} a channel, a state of {state} bytes: {taken} bytes each \
         with their hold, charged {charged}",
    );
    Ok(())
}

/// In bytes.
fn resident() -> Result<usize, Box<dyn Error>> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split(' ').nth(1).ok_or("no resident size")?;
    Ok(pages.parse::<usize>()? * 4_096)
}

const MEMBERS: usize = 200_000;
