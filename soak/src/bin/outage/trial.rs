//! One fault: a server and its hubs, subscribers, publishers at full speed, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::hub::Hub;
use crate::publisher::publish;
use crate::server::{Kind, Server};
use crate::shared::Shared;
use crate::subscriber::{Log, Told, read};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9` of the log's server, which is started again.
    KillServer,
    /// `kill -9` of one of two hubs.
    KillHub,
    /// `kill -9` of the only hub, which is started again.
    KillOnlyHub,
    /// `SIGSTOP` of the log's server.
    StopServer,
    /// No room for the log.
    FullDisk,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] = [
        Self::KillServer,
        Self::KillHub,
        Self::KillOnlyHub,
        Self::StopServer,
        Self::FullDisk,
    ];

    /// Whether it can come to such a log: one on fjall has no server, and one hub.
    pub(crate) fn comes_to(self, kind: Kind) -> bool {
        kind != Kind::Fjall || matches!(self, Self::KillOnlyHub | Self::FullDisk)
    }

    /// Whether whoever is connected is told that the log is away: always, or never.
    fn stalls(self, kind: Kind) -> bool {
        match self {
            Self::KillServer | Self::StopServer => true,
            Self::KillHub | Self::KillOnlyHub => false,
            // One on fjall refuses before there is no room, and can be read all the time.
            Self::FullDisk => kind != Kind::Fjall,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KillServer => "kill -9 of the server",
            Self::KillHub => "kill -9 of one of two hubs",
            Self::KillOnlyHub => "kill -9 of the only hub",
            Self::StopServer => "SIGSTOP of the server",
            Self::FullDisk => "disk full",
        }
    }
}

pub(crate) struct Trial<'a> {
    pub(crate) hub: &'a str,
    pub(crate) kind: Kind,
    pub(crate) fault: Fault,
    /// How long it is published before the fault and after it.
    pub(crate) calm: Duration,
    /// How long the server is away, stopped, or without room.
    pub(crate) away: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) acknowledged: usize,
    pub(crate) per_second: f64,
    pub(crate) deliveries: usize,
    pub(crate) retries: u64,
    pub(crate) cuts: usize,
    pub(crate) publishing: Duration,
    pub(crate) everybody: Duration,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) disordered: usize,
    pub(crate) foreign: usize,
    pub(crate) gaps: usize,
    /// Subscribers who were told that the log is stalled, and that it has recovered.
    pub(crate) stalled: usize,
    pub(crate) recovered: usize,
    /// Subscribers who were told of one without the other, or were told what was not so, or nothing.
    pub(crate) misled: usize,
}

impl Findings {
    pub(crate) fn is_clean(&self) -> bool {
        let bad = self.lost + self.doubled + self.disordered + self.foreign;
        bad + self.gaps + self.misled == 0
    }
}

impl Trial<'_> {
    pub(crate) async fn run(&self) -> Result<Findings, String> {
        let room = (self.fault == Fault::FullDisk).then_some(match self.kind {
            Kind::Fjall => ROOM + RESERVE,
            _ => ROOM,
        });
        let mut server = Server::start(self.kind, room)?;
        let mut hubs = vec![self.start(&server).await?];
        if self.fault != Fault::KillOnlyHub && self.kind != Kind::Fjall {
            hubs.push(self.start(&server).await?);
        }
        let addresses = hubs.iter().map(|hub| hub.address).collect();
        let shared = Arc::new(Shared::new(addresses, SUBSCRIBERS));
        let mut subscribers = JoinSet::new();
        for number in 0..SUBSCRIBERS {
            subscribers.spawn(read(Arc::clone(&shared), number));
        }
        let mut publishers = JoinSet::new();
        for number in 0..PUBLISHERS {
            publishers.spawn(publish(Arc::clone(&shared), number));
        }
        // Everybody is there, and given what is published.
        let began = Instant::now();
        shared.recovers(began).await?;
        sleep(self.calm).await;
        let before = shared.next.load(Ordering::Relaxed);
        let per_second = before as f64 / began.elapsed().as_secs_f64();
        let since = self.strike(&mut server, &mut hubs, &shared).await?;
        let [publishing, everybody] = shared.recovers(since).await?;
        sleep(self.calm).await;
        shared.stop();
        while let Some(ended) = publishers.join_next().await {
            ended.map_err(|error| error.to_string())??;
        }
        shared.settle();
        let mut findings = Findings {
            per_second,
            publishing,
            everybody,
            retries: shared.retries.load(Ordering::Relaxed),
            ..Findings::default()
        };
        let acknowledged = shared.acknowledged();
        findings.acknowledged = acknowledged.iter().map(|channel| channel.len()).sum();
        while let Some(ended) = subscribers.join_next().await {
            let log = ended.map_err(|error| error.to_string())??;
            compare(&mut findings, &log, &acknowledged[log.channel]);
            judge(&mut findings, &log.told, self.fault.stalls(self.kind));
        }
        for hub in hubs {
            hub.kill().await;
        }
        Ok(findings)
    }

    async fn start(&self, server: &Server) -> Result<Hub, String> {
        let mut flags = server.flags();
        flags.extend(["--retain-count", "1000000", "--retain-bytes", "1000000000"].map(Into::into));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Hub::start(self.hub, &flags).await
    }

    /// Does it and undoes it. Returns when what failed was there again.
    async fn strike(
        &self,
        server: &mut Server,
        hubs: &mut Vec<Hub>,
        shared: &Shared,
    ) -> Result<Instant, String> {
        match self.fault {
            Fault::KillServer => {
                server.kill();
                sleep(self.away).await;
                server.restart()?;
            }
            Fault::KillHub => {
                hubs.swap_remove(0).kill().await;
                shared.set_hubs(hubs.iter().map(|hub| hub.address).collect());
            }
            Fault::KillOnlyHub => {
                hubs.swap_remove(0).kill().await;
                hubs.push(self.start(server).await?);
                shared.set_hubs(hubs.iter().map(|hub| hub.address).collect());
            }
            Fault::StopServer => {
                server.signal("STOP")?;
                sleep(self.away).await;
                server.signal("CONT")?;
            }
            Fault::FullDisk => {
                server.fill()?;
                sleep(self.away).await;
                server.make_room()?;
            }
        }
        Ok(Instant::now())
    }
}

/// What a subscriber was given, beside what its channel was acknowledged.
fn compare(findings: &mut Findings, log: &Log, acknowledged: &BTreeMap<u64, u64>) {
    findings.deliveries += log.events.len();
    let ordered = log.events.windows(2).filter(|pair| pair[0].0 < pair[1].0);
    findings.disordered += log.events.len().saturating_sub(1) - ordered.count();
    let seen: BTreeSet<(u64, u64)> = log.events.iter().copied().collect();
    let numbers: BTreeSet<u64> = log.events.iter().map(|(_, event)| *event).collect();
    findings.doubled += log.events.len() - numbers.len();
    let is_given = |(sequence, event): &(&u64, &u64)| seen.contains(&(**sequence, **event));
    findings.lost += acknowledged.len() - acknowledged.iter().filter(is_given).count();
    let is_known = |(sequence, event): &&(u64, u64)| acknowledged.get(sequence) == Some(event);
    findings.foreign += seen.len() - seen.iter().filter(is_known).count();
}

/// What a subscriber was told of the log, and whether it was to be told.
fn judge(findings: &mut Findings, told: &[Told], stalls: bool) {
    let times = |what| told.iter().filter(|told| **told == what).count();
    findings.cuts += times(Told::Cut);
    findings.gaps += times(Told::Gap);
    let stalled = times(Told::Stalled) > 0;
    findings.stalled += usize::from(stalled);
    findings.recovered += usize::from(times(Told::Recovered) > 0);
    // Each connection begins with a log that is there, and the last ends with one.
    let mut is_away = false;
    let mut is_odd = false;
    for told in told {
        match told {
            Told::Cut => is_away = false,
            Told::Gap => {}
            Told::Recovered => is_odd |= !std::mem::replace(&mut is_away, false),
            Told::Stalled => is_odd |= std::mem::replace(&mut is_away, true),
        }
    }
    findings.misled += usize::from(is_odd || is_away || stalled != stalls);
}

const SUBSCRIBERS: usize = 500;
const PUBLISHERS: usize = 64;
/// In MiB: more than is published until then.
const ROOM: u32 = 256;
/// What a log on fjall leaves free.
const RESERVE: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost, doubled, disordered, foreign: of what is given when 10, 20 and 30 were acknowledged.
    fn counts(events: &[(u64, u64)]) -> [usize; 4] {
        let log = Log {
            events: events.to_vec(),
            ..Log::default()
        };
        let mut findings = Findings::default();
        compare(
            &mut findings,
            &log,
            &BTreeMap::from([(1, 10), (2, 20), (3, 30)]),
        );
        let Findings {
            lost,
            doubled,
            disordered,
            foreign,
            ..
        } = findings;
        assert_eq!(
            findings.is_clean(),
            [lost, doubled, disordered, foreign] == [0; 4]
        );
        [lost, doubled, disordered, foreign]
    }

    #[test]
    fn what_is_told_of_the_log_is_in_order_and_so() {
        use Told::{Cut, Recovered, Stalled};
        let misled = |told: &[Told], stalls| {
            let mut findings = Findings::default();
            judge(&mut findings, told, stalls);
            findings.misled
        };
        assert_eq!(misled(&[], false), 0);
        assert_eq!(misled(&[Stalled, Recovered], true), 0);
        assert_eq!(misled(&[Stalled, Cut, Stalled, Recovered], true), 0);
        assert_eq!(misled(&[], true), 1);
        assert_eq!(misled(&[Stalled, Recovered], false), 1);
        assert_eq!(misled(&[Stalled], true), 1);
        assert_eq!(misled(&[Recovered, Stalled], true), 1);
        assert_eq!(misled(&[Stalled, Stalled, Recovered], true), 1);
        assert_eq!(misled(&[Stalled, Recovered, Recovered], true), 1);
    }

    #[test]
    fn what_is_wrong_is_counted() {
        assert_eq!(counts(&[(1, 10), (2, 20), (3, 30)]), [0, 0, 0, 0]);
        assert_eq!(counts(&[(1, 10), (3, 30)]), [1, 0, 0, 0]);
        assert_eq!(counts(&[(1, 10), (3, 30), (2, 20)]), [0, 0, 1, 0]);
        // The same event under another sequence, and under the same.
        assert_eq!(counts(&[(1, 10), (2, 20), (3, 30), (4, 20)]), [0, 1, 0, 1]);
        assert_eq!(counts(&[(1, 10), (1, 10), (2, 20), (3, 30)]), [0, 1, 1, 0]);
        // Another event under an acknowledged sequence.
        assert_eq!(counts(&[(1, 10), (2, 25), (3, 30)]), [1, 0, 0, 1]);
    }
}
