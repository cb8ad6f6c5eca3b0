//! What windows do, in the plainest words: lists of times, searched from their start.

use std::collections::BTreeMap;

/// Windows of a length that begin at each step, or sessions, in ticks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Fixed(i64, i64),
    Session(i64),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) shape: Shape,
    pub(super) has_keys: bool,
    pub(super) grace: Option<i64>,
    pub(super) idle: Option<i64>,
    pub(super) skips: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) key: u8,
    pub(super) time: i64,
    /// Whether the view has statements for it.
    pub(super) is_handled: bool,
    /// Whether these fail.
    pub(super) fails: bool,
}

/// What a view should say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// The events of each key in each window, by its start.
    pub(super) counts: BTreeMap<(u8, i64), usize>,
    /// The events, by their numbers from 0, that came too late for a window; `None` for sessions.
    pub(super) late: Vec<(usize, Option<i64>, u8)>,
    /// Key, start, end, events, and whether it is final.
    pub(super) sessions: Vec<(u8, i64, i64, usize, bool)>,
    /// The clock of each key, and the time before which windows are final.
    pub(super) clocks: BTreeMap<u8, (i64, Option<i64>)>,
}

impl Rules {
    fn key(&self, event: &Event) -> u8 {
        if self.has_keys { event.key } else { 0 }
    }

    /// The clock of a key when these events have been seen.
    fn clock(&self, seen: &[Event], key: u8) -> Option<i64> {
        let own = seen.iter().filter(|event| self.key(event) == key).map(|event| event.time).max();
        let all = seen.iter().map(|event| event.time).max();
        own.max(self.idle.and_then(|idle| Some(all? - idle)))
    }

    fn watermark(&self, seen: &[Event], key: u8) -> Option<i64> {
        Some(self.clock(seen, key)? - self.grace?)
    }

    pub(super) fn outcome(&self, events: &[Event]) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut seen, mut open, mut done) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (number, event) in events.iter().enumerate() {
            let key = self.key(event);
            let watermark = self.watermark(&seen, key);
            let is_seen = match self.shape {
                _ if !event.is_handled => true,
                Shape::Fixed(width, step) => {
                    let starts = event.time - width + 1..=event.time;
                    let starts = starts.filter(|start| start % step == 0);
                    let is_final = |start: &i64| watermark.is_some_and(|it| start + width <= it);
                    let (closed, open): (Vec<_>, Vec<_>) = starts.partition(is_final);
                    let fails = event.fails && !open.is_empty();
                    if !fails {
                        let late = closed.into_iter().map(|start| (number, Some(start), key));
                        outcome.late.extend(late);
                        for start in open {
                            *outcome.counts.entry((key, start)).or_default() += 1;
                        }
                    }
                    !fails
                }
                Shape::Session(gap) => {
                    let is_late = watermark.is_some_and(|it| event.time + gap < it);
                    if is_late {
                        outcome.late.push((number, None, key));
                    }
                    let fails = event.fails && !is_late;
                    if !is_late && !fails {
                        let times: &mut Vec<i64> = open.entry(key).or_default();
                        // What is final leaves the list for ever.
                        for group in groups(times, gap) {
                            let end = group[group.len() - 1];
                            if watermark.is_some_and(|it| end + gap < it) {
                                times.retain(|time| !group.contains(time));
                                done.push((key, group));
                            }
                        }
                        times.push(event.time);
                    }
                    !fails
                }
            };
            if is_seen {
                seen.push(*event);
            }
        }
        if let Shape::Session(gap) = self.shape {
            let open = open
                .iter()
                .flat_map(|(key, times)| groups(times, gap).into_iter().map(|group| (*key, group)));
            for (key, group) in done.into_iter().chain(open) {
                let (start, end) = (group[0], group[group.len() - 1]);
                let watermark = self.watermark(&seen, key);
                let is_final = watermark.is_some_and(|it| end + gap < it);
                outcome.sessions.push((key, start, end, group.len(), is_final));
            }
            outcome.sessions.sort();
        }
        for event in &seen {
            let key = self.key(event);
            let clock = self.clock(&seen, key).unwrap();
            let final_before = self.watermark(&seen, key).map(|it| self.final_before(it));
            outcome.clocks.insert(key, (clock, final_before));
        }
        outcome
    }

    fn final_before(&self, watermark: i64) -> i64 {
        match self.shape {
            Shape::Session(gap) => watermark - gap,
            Shape::Fixed(width, step) => {
                let from = watermark - width + 1;
                (from..).find(|start| start % step == 0).unwrap()
            }
        }
    }
}

/// Splits times, in their order, where one is further than the gap from the next.
fn groups(times: &[i64], gap: i64) -> Vec<Vec<i64>> {
    let mut times = times.to_vec();
    times.sort();
    times.chunk_by(|one, two| two - one <= gap).map(<[i64]>::to_vec).collect()
}
