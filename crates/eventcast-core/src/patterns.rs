//! The pattern subscriptions of a shard: who is to be told of a channel that it does not know.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::name::ChannelName;
use crate::session::Signal;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};

/// Pattern subscriptions by prefix. Each has a generation, higher than any before it, so a channel
/// that remembers the last one it was announced to is announced to each once.
#[derive(Debug, Default)]
pub(crate) struct PatternIndex {
    newest: AtomicU64,
    count: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_prefix: HashMap<Box<str>, BTreeMap<u64, Arc<Signal>>>,
    /// How many prefixes there are of each length: a name is looked up once for each.
    lengths: BTreeMap<usize, usize>,
}

impl PatternIndex {
    /// Enters a subscription and returns its generation. What is appended afterwards is announced;
    /// what was appended before is for the subscriber to find.
    pub(crate) fn register(&self, prefix: &str, signal: &Arc<Signal>) -> u64 {
        let mut state = self.state.lock();
        let generation = self.newest.load(Ordering::Relaxed) + 1;
        if !state.by_prefix.contains_key(prefix) {
            state.by_prefix.insert(prefix.into(), BTreeMap::new());
            *state.lengths.entry(prefix.len()).or_default() += 1;
        }
        if let Some(waiters) = state.by_prefix.get_mut(prefix) {
            waiters.insert(generation, Arc::clone(signal));
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.newest.store(generation, Ordering::Release);
        generation
    }

    pub(crate) fn remove(&self, prefix: &str, generation: u64) {
        let mut state = self.state.lock();
        let Some(waiters) = state.by_prefix.get_mut(prefix) else {
            return;
        };
        if waiters.remove(&generation).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        if waiters.is_empty() {
            state.by_prefix.remove(prefix);
            if let Some(count) = state.lengths.get_mut(&prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    state.lengths.remove(&prefix.len());
                }
            }
        }
    }

    /// The generation of the newest subscription.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Whether some subscription fits the channel.
    pub(crate) fn has_any(&self, channel: &ChannelName) -> bool {
        !self.is_empty() && self.state.lock().since(channel, 0).next().is_some()
    }

    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.state.lock().by_prefix.contains_key(prefix)
    }

    /// Calls `each` for every subscription.
    pub(crate) fn for_each(&self, each: impl FnMut(&Arc<Signal>)) {
        let state = self.state.lock();
        let waiters = state.by_prefix.values().flat_map(BTreeMap::values);
        waiters.for_each(each);
    }

    /// Calls `each` for every subscription of a later generation that fits the channel.
    pub(crate) fn for_each_since(
        &self,
        channel: &ChannelName,
        generation: u64,
        each: impl FnMut(&Arc<Signal>),
    ) {
        self.state.lock().since(channel, generation).for_each(each);
    }
}

impl State {
    fn since<'a>(
        &'a self,
        channel: &'a ChannelName,
        generation: u64,
    ) -> impl Iterator<Item = &'a Arc<Signal>> {
        let name = channel.as_str();
        let prefixes = self.lengths.keys().map_while(|length| match name.len() {
            longest if *length <= longest => Some(name.get(..*length)),
            _ => None,
        });
        prefixes
            .flatten()
            .filter_map(|prefix| self.by_prefix.get(prefix))
            .flat_map(move |waiters| waiters.range(generation + 1..))
            .map(|(_, signal)| signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_meets_each_prefix_of_its_own() {
        let index = PatternIndex::default();
        let signal = Arc::<Signal>::default();
        let generations: Vec<_> = ["", "a/", "a/b", "é", "b/"]
            .map(|prefix| index.register(prefix, &signal))
            .into();
        let count = |name: &str, since| {
            let mut count = 0;
            let name = ChannelName::new(name).unwrap();
            index.for_each_since(&name, since, |_| count += 1);
            assert!(count == 0 || index.has_any(&name));
            count
        };
        assert_eq!(count("a/bc", 0), 3);
        assert_eq!(count("a/bc", 1), 2);
        assert_eq!(count("è", 1), 0);
        assert_eq!(count("b/", 0), 2);
        assert_eq!(count("b/", index.newest()), 0);
        index.remove("a/b", generations[2]);
        index.remove("a/b", generations[2]);
        assert_eq!(count("a/bc", 0), 2);
    }
}
