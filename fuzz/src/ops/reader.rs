//! A client: its session, what it saw, and what it is owed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use eventcast_core::{
    BatchLimits, Delivery, Epoch, Position, Session, SlowPolicy, Start, SubscriptionOptions,
};

use super::hub::TestHub;
use super::record::CHANNELS;
use super::view::View;

pub(crate) struct Reader {
    session: Session,
    options: SubscriptionOptions,
    /// May add channels after all have ended.
    pub(super) stays_open: bool,
    pub(super) channels: BTreeMap<&'static str, View>,
    /// What it would resume with; `None` for an id of another run.
    pub(super) id: Option<u64>,
    /// The run that an id of another run is of, if it is an id at all.
    foreign: Option<Epoch>,
    /// Channels that have to be told a gap before anything else.
    pub(super) to_announce: Vec<&'static str>,
    pub(super) ended: bool,
    woken: Arc<Flag>,
}

impl Reader {
    /// Opens a session of the channels in `mask`, or of the first; from the beginning, or from now.
    pub(crate) fn open(hub: &TestHub, mask: usize, earliest: bool, kind: u8) -> Self {
        let chosen = CHANNELS.iter().enumerate();
        let mut names: Vec<_> = chosen
            .filter(|(n, _)| mask >> n & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        if names.is_empty() {
            names.push(CHANNELS[0]);
        }
        let slow = match kind % 4 {
            3 => SlowPolicy::Disconnect,
            _ => SlowPolicy::Gap,
        };
        let options = SubscriptionOptions::new().with_slow(slow);
        let start = if earliest {
            Start::Earliest
        } else {
            Start::Live
        };
        let mut builder = hub.hub.session().options(options.clone().with_start(start));
        for name in &names {
            builder = builder.channel(*name);
        }
        let mut session = builder.open().expect("few channels");
        let stays_open = kind % 2 == 1;
        if stays_open {
            session.stay_open();
        }
        let now = hub.hub.position().sequence();
        let begin = |name: &str| match earliest || hub.record.borrow().end(name).is_some() {
            true => hub.earliest(name),
            false => now,
        };
        let channels = names
            .iter()
            .map(|name| (*name, View::new(name, begin(name))));
        let opening = session.opening().position.expect("nothing is announced");
        let reader = Self {
            channels: channels.collect(),
            session,
            options,
            stays_open,
            id: Some(opening.sequence()),
            foreign: None,
            to_announce: Vec::new(),
            ended: false,
            woken: Arc::default(),
        };
        let lowest = reader.channels.values().map(|view| view.begin).min();
        assert!(Some(opening.sequence()) <= lowest);
        reader.woken.0.store(true, Ordering::SeqCst);
        reader
    }

    pub(crate) fn is_woken(&self) -> bool {
        !self.ended && self.woken.0.load(Ordering::SeqCst)
    }

    pub(crate) fn read(&mut self, hub: &TestHub, limit: usize) {
        let seen = self.take(limit);
        self.see(hub, &seen);
    }

    /// Reads, of which only the first few deliveries arrive; then the client resumes.
    pub(crate) fn cut(&mut self, hub: &TestHub, arrives: usize) {
        let seen = self.take(usize::MAX);
        self.see(hub, &seen[..arrives.min(seen.len())]);
        self.resume(hub);
    }

    pub(crate) fn heartbeat(&mut self, hub: &TestHub) {
        if !self.ended && self.to_announce.is_empty() {
            let heartbeat = self.session.heartbeat();
            self.see(hub, &[heartbeat]);
        }
    }

    pub(crate) fn subscribe(&mut self, hub: &TestHub, channel: &'static str, past: bool) {
        if self.ended || self.id.is_none() || self.channels.contains_key(channel) {
            return;
        }
        let start = if past { Start::Earliest } else { Start::Live };
        let options = self.options.clone().with_start(start);
        let joined = self.session.subscribe_with([channel], &options);
        let joined = joined.expect("few channels");
        if let Some(position) = joined.position {
            self.saw_id(position);
        }
        // Beyond what its id says, as long as a gap that comes first is to move that.
        let page = &joined.history[0];
        let begin = page.position.sequence();
        assert!(joined.position.is_none() || self.id == Some(begin));
        let is_past = |sequence| sequence <= begin && hub.record.borrow().has(channel, sequence);
        assert!(
            page.events.iter().all(|event| is_past(event.sequence())),
            "{page:?}"
        );
        self.channels.insert(channel, View::new(channel, begin));
        // Whoever changes a session polls it again.
        self.woken.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn unsubscribe(&mut self, hub: &TestHub, channel: &'static str) {
        if self.ended || self.channels.len() < 2 || !self.channels.contains_key(channel) {
            return;
        }
        assert!(self.session.unsubscribe(channel));
        self.to_announce.retain(|name| *name != channel);
        let view = self.channels.remove(channel).expect("it is there");
        self.check_until_id(hub, &view);
    }

    /// Ends it; what its position says was delivered has to be.
    pub(crate) fn leave(&self, hub: &TestHub) {
        let views = self.channels.values();
        views.for_each(|view| self.check_until_id(hub, view));
    }

    fn check_until_id(&self, hub: &TestHub, view: &View) {
        if let Some(id) = self.id {
            let record = hub.record.borrow();
            record.check(&view.observer, id, view.ends_with_gap);
        }
    }

    /// Comes back with an id that this log never gave.
    pub(crate) fn come_back_with_a_foreign_id(&mut self, hub: &TestHub, other_run: bool) {
        self.leave(hub);
        let other = Epoch::from_bits(hub.hub.position().epoch().bits() ^ 1);
        self.foreign = other_run.then_some(other);
        self.id = None;
        self.resume(hub);
    }

    /// Nothing more is to come: everything was delivered or announced.
    pub(crate) fn check_settled(&self, hub: &TestHub) {
        let record = hub.record.borrow();
        assert!(self.to_announce.is_empty());
        for (channel, view) in &self.channels {
            record.check(&view.observer, u64::MAX, false);
            let owed = record.end(channel).filter(|end| *end > view.begin);
            assert!(owed.is_none() || view.told_end, "the end of {channel}");
        }
    }

    fn take(&mut self, limit: usize) -> Vec<Delivery> {
        let mut seen = Vec::new();
        if self.ended {
            return seen;
        }
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        let limits = BatchLimits {
            events: limit,
            bytes: usize::MAX,
        };
        let mut cx = Context::from_waker(&waker);
        if self
            .session
            .poll_batch(&mut cx, limits, &mut seen)
            .is_ready()
        {
            assert!(!seen.is_empty());
            self.woken.0.store(true, Ordering::SeqCst);
        }
        seen
    }

    pub(super) fn resume(&mut self, hub: &TestHub) {
        let now = hub.hub.position();
        let id = match (self.id, self.foreign) {
            (Some(sequence), _) => Position::new(now.epoch(), sequence).to_string(),
            (None, Some(epoch)) => Position::new(epoch, now.sequence()).to_string(),
            (None, None) => "never given".to_owned(),
        };
        let mut builder = hub.hub.session().options(self.options.clone()).resume(&id);
        for channel in self.channels.keys() {
            builder = builder.channel(*channel);
        }
        self.session = builder.open().expect("few channels");
        if self.stays_open {
            self.session.stay_open();
        }
        for (channel, view) in &mut self.channels {
            let begin = match self.id {
                // Cut before what it had begun with: it goes on from its id in all channels.
                Some(id) => view.begin.min(id),
                None if self.foreign.is_some() || hub.record.borrow().end(channel).is_some() => {
                    hub.earliest(channel)
                }
                None => now.sequence(),
            };
            if self.id.is_none() || begin < view.begin {
                *view = View::new(channel, begin);
            }
            let end = hub.record.borrow().end(channel);
            view.told_end &= end.is_some_and(|end| Some(end) <= self.id);
        }
        let opening = self.session.opening().position.map(Position::sequence);
        assert!(opening.is_none() || opening == self.id);
        self.to_announce = match self.id {
            Some(_) => Vec::new(),
            None => self.channels.keys().copied().collect(),
        };
        self.ended = false;
        self.woken = Arc::default();
        self.woken.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
