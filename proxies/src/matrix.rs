//! All cells, and the table of what they do.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::cell::{Cell, Figures, origins};
use crate::hub::Hub;
use crate::link::Protocol;
use crate::proxy::{Proxy, Stage};
use crate::random::Random;
use crate::route::{Route, table};
use crate::subscription::Transport;

/// Runs all cells: before `hub` with the configurations as they are, and with timeouts of 2 s in
/// place of 60, which its heartbeats keep from cutting anybody; and before `quiet`, whose
/// heartbeats do not.
pub(crate) async fn run(
    stage: &Stage<'_>,
    hub: &Hub,
    quiet: &Hub,
    seed: u64,
) -> Result<(), String> {
    let mut documented = start(stage, [hub, quiet], "60s").await?;
    let mut hasty = start(stage, [hub, quiet], HASTY).await?;
    let mut control = start(stage, [quiet, hub], HASTY).await?;
    for proxy in &documented {
        for protocol in Protocol::ALL {
            let judged = origins(&proxy.door, protocol).await;
            judged.map_err(|error| format!("{} over {protocol}: {error}", proxy.route))?;
        }
    }
    let outcome = async {
        let figures = resume(&documented, hub, seed).await?;
        let staying = cells(&hasty).into_iter().map(async |cell| {
            let stays = cell.stays(hub, LONG).await;
            stays.map_err(|error| format!("{cell}, for {LONG:?}: {error}"))
        });
        let leaving = cells(&control).into_iter().map(async |cell| {
            let cut_off = cell.is_cut_off().await;
            cut_off.map_err(|error| format!("{cell}, without heartbeats: {error}"))
        });
        tokio::try_join!(try_join_all(staying), try_join_all(leaving))?;
        Ok(figures)
    };
    match outcome.await {
        Ok(figures) => {
            print(&documented, &figures);
            Ok(())
        }
        Err(error) => {
            let proxies = documented.iter_mut().chain(&mut hasty).chain(&mut control);
            for proxy in proxies {
                let said = proxy.said();
                println!("{} said:\n{said}", proxy.route);
            }
            Err(error)
        }
    }
}

/// Every event exactly once, in order, through cuts; then at once, on a connection that stays.
async fn resume(proxies: &[Proxy], hub: &Hub, seed: u64) -> Result<Vec<Option<Figures>>, String> {
    let mut publisher = hub.publisher().await?;
    let mut random = Random::new(seed);
    let publishing = publisher.series("series", 0..LENGTH, &mut random);
    let reading = all(proxies).into_iter().map(async |cell| {
        if !cell.route.has(cell.transport, cell.protocol) {
            let none = cell.is_none().await.map(|()| None);
            return none.map_err(|error| format!("{cell}: {error}"));
        }
        let done = async {
            let cuts = cell.series("series", LENGTH, seed).await?;
            let latency = cell.stays(hub, Duration::ZERO).await?;
            Ok(Some(Figures { cuts, latency }))
        };
        done.await
            .map_err(|error: String| format!("{cell}: {error}"))
    });
    let (figures, ()) = tokio::try_join!(try_join_all(reading), publishing)?;
    Ok(figures)
}

async fn start(stage: &Stage<'_>, hubs: [&Hub; 2], patience: &str) -> Result<Vec<Proxy>, String> {
    let mut proxies = Vec::new();
    for route in Route::ALL {
        proxies.push(Proxy::start(stage, route, hubs, patience).await?);
    }
    Ok(proxies)
}

/// All that can be thought of.
fn all(proxies: &[Proxy]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for proxy in proxies {
        for transport in Transport::ALL {
            for protocol in Protocol::ALL {
                cells.push(Cell {
                    number: cells.len() as u64,
                    route: proxy.route,
                    door: proxy.door.clone(),
                    transport,
                    protocol,
                });
            }
        }
    }
    cells
}

/// All there are.
fn cells(proxies: &[Proxy]) -> Vec<Cell> {
    let mut cells = all(proxies);
    cells.retain(|cell| cell.route.has(cell.transport, cell.protocol));
    cells
}

fn print(proxies: &[Proxy], figures: &[Option<Figures>]) {
    println!("\n{}", table());
    println!("cuts survived, and the median latency on a connection that stays:\n");
    for (cell, figures) in all(proxies).iter().zip(figures) {
        let measured = figures.map_or("none".to_owned(), |Figures { cuts, latency }| {
            format!("{cuts:>3} cuts {:>6.1} ms", latency.as_secs_f64() * 1_000.0)
        });
        println!("{:<73} {measured}", cell.to_string());
    }
    let sum: u64 = figures.iter().flatten().map(|figures| figures.cuts).sum();
    let count = figures.iter().flatten().count();
    println!("\nproxies: cells={count} events={LENGTH} cuts={sum} lost=0 doubled=0 disordered=0");
}

const LENGTH: u64 = 300;
/// In place of the timeouts of 60 s.
const HASTY: &str = "2s";
/// Long enough for those to cut whom they will.
const LONG: Duration = Duration::from_secs(6);
