//! `history` and `request`.

use eventcast_client::{Gap, Loss};
use eventcast_core::HistoryQuery;

use crate::args::{History, Request};
use crate::connect;
use crate::exit::Result;
use crate::output::{Line, Printer, Told};
use crate::publish;
use crate::signals::{signalled, stopped};

pub(crate) async fn history(asked: History) -> Result {
    tokio::select! {
        done = pages(&asked) => done,
        exit = stopped() => Err(exit),
    }
}

async fn pages(asked: &History) -> Result {
    let handle = connect::builder(&asked.server)?.handle()?;
    let mut printer = Printer::new(asked.shape.output());
    let mut left = match asked.all {
        true => u64::MAX,
        false => asked.limit,
    };
    let mut query = match asked.newest {
        true => HistoryQuery::newest_first(),
        false => HistoryQuery::oldest_first(),
    };
    if let Some(from) = asked.from {
        query = query.from(from);
    }
    loop {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let page = handle
            .history(&asked.channel, query.with_limit(most))
            .await?;
        let lost = page.trimmed.then(|| trimmed(&page.channel));
        // It stands where the lost events would.
        if let Some(gap) = lost.as_ref().filter(|_| !asked.newest) {
            printer.gap(gap)?;
        }
        for event in &page.events {
            printer.event(Told::from(event))?;
        }
        if let Some(gap) = lost.filter(|_| asked.newest) {
            printer.gap(&gap)?;
        }
        left = left.saturating_sub(page.events.len() as u64);
        match page.next {
            Some(next) if left > 0 => query = query.from(next),
            next => {
                let id = page.position.map(|id| id.to_string());
                if printer.is_json() {
                    let line = Line {
                        kind: Some("position"),
                        id,
                        ..Line::default()
                    };
                    printer.line(&line, "")?;
                } else if let Some(next) = next {
                    printer.aside(&format!("eventcast: there are more: --from {next}"))?;
                }
                return printer.flush();
            }
        }
    }
}

fn trimmed(channel: &eventcast_core::ChannelName) -> Gap {
    Gap::new(channel.clone(), Loss::Trimmed)
}

pub(crate) async fn request(asked: Request) -> Result {
    let asking = async {
        let handle = connect::builder(&asked.server)?.handle()?;
        let payload = publish::payload(&asked.data).await?;
        let reply = handle.request(&asked.name, &payload).await?;
        let mut printer = Printer::new(asked.shape.output());
        printer.reply(&reply)?;
        printer.flush()
    };
    tokio::select! {
        done = asking => done,
        exit = signalled() => Err(exit),
    }
}
