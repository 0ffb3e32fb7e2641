//! The buffer inside a real hub.

use eventcast_core::{Delivery, Event, GapReason, Hub, HubConfig, Position, Retention, Session};

use super::Factory;
use crate::ledger::{Ledger, Observer};
use crate::reader::drain;
use crate::verdict::ensure;

const CHANNEL: &str = "conformance";

fn hub(factory: &impl Factory, keeps: usize) -> Hub {
    let factory = factory.clone();
    let config = HubConfig::new()
        .with_retention(Retention::new().with_count(keeps))
        .with_replay_buffer(move |_channel| Box::new(factory.make()));
    Hub::with_config(config)
}

/// Publishes to the channel and, in between, to another one, so that sequences are sparse.
fn publish(hub: &Hub, ledger: &mut Ledger, count: usize) -> Result<Vec<Position>, String> {
    let mut ids = Vec::new();
    for number in 0..count {
        for channel in [CHANNEL, "other"] {
            let id = hub
                .try_publish(channel, Event::text(number.to_string()))
                .map_err(|error| error.to_string())?;
            ledger.published(channel, id.sequence());
            if channel == CHANNEL {
                ids.push(id);
            }
        }
    }
    Ok(ids)
}

fn resume(hub: &Hub, id: Position) -> Result<Session, String> {
    let session = hub.session().channel(CHANNEL).resume(&id.to_string());
    session.open().map_err(|error| error.to_string())
}

/// Reads what there is and checks it against what was published after `start`.
fn read(session: &mut Session, ledger: &Ledger, start: u64) -> Result<Vec<Delivery>, String> {
    let deliveries = drain(session);
    let mut observer = Observer::new([CHANNEL], start);
    for delivery in &deliveries {
        match delivery {
            Delivery::Event(event) => observer.event(event.channel().as_str(), event.sequence()),
            Delivery::Gap(gap) => {
                let id = gap.position.map(Position::sequence);
                observer.gap(gap.channel.as_str(), gap.missed, id);
            }
            other => return Err(format!("the session delivers {other:?}")),
        }
    }
    let checked = observer.check(ledger);
    checked.map_err(|violation| format!("after {start}: {violation:?}"))?;
    Ok(deliveries)
}

pub(super) fn resumes_after_an_id(factory: &impl Factory) -> Result<(), String> {
    let hub = hub(factory, 50);
    let mut ledger = Ledger::new();
    let ids = publish(&hub, &mut ledger, 20)?;
    let mut sessions = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let mut session = resume(&hub, *id)?;
        let rest = read(&mut session, &ledger, id.sequence())?.len();
        let expected = ids.len() - index - 1;
        ensure!(
            rest == expected,
            "{rest} deliveries after {id} instead of {expected}"
        );
        sessions.push(session);
    }
    let start = ledger.last();
    publish(&hub, &mut ledger, 3)?;
    for session in &mut sessions {
        let live = read(session, &ledger, start)?.len();
        ensure!(live == 3, "{live} live deliveries instead of 3");
    }
    Ok(())
}

pub(super) fn tells_what_was_trimmed(factory: &impl Factory) -> Result<(), String> {
    let hub = hub(factory, 4);
    let mut ledger = Ledger::new();
    let away = publish(&hub, &mut ledger, 1)?[0];
    let mut slow = resume(&hub, away)?;
    publish(&hub, &mut ledger, 10)?;
    let told = read(&mut slow, &ledger, away.sequence())?;
    gap_then_four(&told, GapReason::Slow, Some(6))?;
    let told = read(&mut resume(&hub, away)?, &ledger, away.sequence())?;
    gap_then_four(&told, GapReason::Trimmed, None)
}

fn gap_then_four(told: &[Delivery], reason: GapReason, missed: Option<u64>) -> Result<(), String> {
    let Some((Delivery::Gap(gap), events)) = told.split_first() else {
        return Err(format!("no gap comes first: {told:?}"));
    };
    ensure!(
        gap.reason == reason && gap.missed == missed,
        "{gap} instead of {}, {missed:?} missed",
        reason.as_str()
    );
    ensure!(
        events.len() == 4,
        "{} events after the gap, of 4 that are kept",
        events.len()
    );
    Ok(())
}
