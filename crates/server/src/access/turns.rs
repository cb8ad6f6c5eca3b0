//! Whose password is hashed next. Hashing is slow on purpose, so a flood of wrong passwords waits in line.
//!
//! Addresses take turns, and the users of an address take turns within it: a flood from one address costs
//! others one turn in between, and a flood for one user costs the other users behind the same address (a
//! proxy) no more. Passwords that were right before go first. So no flood keeps out who knows a password
//! and was here before, or comes from another address.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::oneshot;

/// All that wait.
const WAITING: usize = 1_024;
/// Those that wait for one user from one address, and those that go first.
const IN_LINE: usize = 64;
/// Wrong passwords for one user from one address, after which its line is slowed down.
const FREE: u32 = 10;
/// The time between two hashes of a line that is slowed down.
const PAUSE: Duration = Duration::from_millis(50);
/// How soon a waiting request looks whether its line was slowed down.
const LOOK: Duration = Duration::from_millis(250);
/// Users at addresses whose wrong passwords are counted; the oldest are forgotten.
const COUNTED: usize = 10_000;

/// A user as an address asks for it. Both come from the client, so no right follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Applicant {
    address: IpAddr,
    /// A hash of the name: names may be long.
    user: u64,
}

/// The right to hash one password, until it is dropped.
pub(super) struct Turn(Arc<Turns>);

/// Gives out turns.
pub(super) struct Turns {
    queue: Mutex<Queue>,
    wrong: Cache<Applicant, WrongAnswers>,
    names: RandomState,
}

/// The wrong passwords of an applicant since the last right one.
#[derive(Debug, Clone, Copy)]
struct WrongAnswers {
    count: u32,
    /// When the next may be hashed.
    next: Instant,
}

type Waiter = oneshot::Sender<Turn>;

struct Queue {
    free: usize,
    first: VecDeque<Waiter>,
    /// In the order of their turns.
    addresses: VecDeque<Address>,
}

/// Those that wait at one address.
struct Address {
    address: IpAddr,
    /// In the order of their turns; none is empty.
    lines: VecDeque<Line>,
}

struct Line {
    user: u64,
    waiters: VecDeque<Waiter>,
}

impl Turns {
    /// Returns turns, of which this many are taken at a time.
    pub(super) fn new(free: usize) -> Arc<Self> {
        Arc::new(Turns {
            queue: Mutex::new(Queue { free, first: VecDeque::new(), addresses: VecDeque::new() }),
            wrong: Cache::new(COUNTED),
            names: RandomState::new(),
        })
    }

    /// Returns who asks, for the peer's address as it is logged.
    pub(super) fn applicant(&self, peer: &str, user: &str) -> Applicant {
        let address =
            peer.parse().map_or(Ipv6Addr::UNSPECIFIED.into(), |peer: SocketAddr| peer.ip());
        Applicant { address: network_of(address), user: self.names.hash_one(user) }
    }

    /// Waits for a turn in the line of an applicant, or before all lines. Returns `None` if too many wait.
    pub(super) async fn wait(self: &Arc<Self>, line: Option<Applicant>) -> Option<Turn> {
        let mut turn = self.enter(line)?;
        self.give();
        loop {
            let wake = async {
                // A line may be slowed down while requests wait in it: then the end of a turn wakes none of them.
                match line {
                    Some(line) => {
                        let now = Instant::now();
                        let next = self.next_of(&line).unwrap_or(now + LOOK);
                        tokio::time::sleep_until(next.max(now + PAUSE).into()).await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                turn = &mut turn => return turn.ok(),
                () = wake => self.give(),
            }
        }
    }

    /// Counts a wrong password, or forgets the wrong ones before a right one.
    pub(super) fn answered(&self, line: Applicant, is_right: bool) {
        if is_right {
            self.wrong.remove(&line);
            return;
        }
        let before = self.wrong.get(&line);
        let next = before.map_or_else(Instant::now, |before| before.next);
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        self.wrong.insert(line, WrongAnswers { count, next });
    }

    /// Returns when a line that is slowed down goes on.
    fn next_of(&self, line: &Applicant) -> Option<Instant> {
        self.wrong.get(line).filter(|wrong| wrong.count >= FREE).map(|wrong| wrong.next)
    }

    fn enter(&self, line: Option<Applicant>) -> Option<oneshot::Receiver<Turn>> {
        let (waiter, turn) = oneshot::channel();
        let mut queue = self.queue.lock();
        let place = match line {
            None => &mut queue.first,
            Some(line) => queue.make_room(line)?,
        };
        if place.len() >= IN_LINE {
            place.retain(|waiter| !waiter.is_closed());
        }
        (place.len() < IN_LINE).then(|| place.push_back(waiter)).map(|()| turn)
    }

    /// Gives the free turns to those who are next.
    fn give(self: &Arc<Self>) {
        while let Some(waiter) = self.take_next() {
            // Who has left drops the turn, which gives it on.
            _ = waiter.send(Turn(self.clone()));
        }
    }

    fn take_next(&self) -> Option<Waiter> {
        let mut queue = self.queue.lock();
        if queue.free == 0 {
            return None;
        }
        let now = Instant::now();
        let may_go = |line: &Applicant| self.next_of(line).is_none_or(|next| next <= now);
        let waiter = queue.pop_first().or_else(|| {
            let (line, waiter) = queue.pop_line(may_go)?;
            if let Some(wrong) = self.wrong.get(&line) {
                self.wrong.insert(line, WrongAnswers { next: now + PAUSE, ..wrong });
            }
            Some(waiter)
        })?;
        queue.free -= 1;
        Some(waiter)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.queue.lock().free += 1;
        self.0.give();
    }
}

impl Queue {
    fn pop_first(&mut self) -> Option<Waiter> {
        pop_open(&mut self.first)
    }

    /// Takes the next of the lines that may go on. Its address and its line go to the end.
    fn pop_line(&mut self, may_go: impl Fn(&Applicant) -> bool) -> Option<(Applicant, Waiter)> {
        for _ in 0..self.addresses.len() {
            let mut address = self.addresses.pop_front()?;
            let found = address.pop(&may_go);
            if !address.lines.is_empty() {
                self.addresses.push_back(address);
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Returns the line of an applicant, with room for one more. If too many wait, the last one of the
    /// longest line leaves, at the address with the most of them; or none does, if that is this line.
    fn make_room(&mut self, of: Applicant) -> Option<&mut VecDeque<Waiter>> {
        if self.len() >= WAITING {
            self.forget_closed();
        }
        if self.len() >= WAITING {
            let own = self.addresses.iter().find(|address| address.address == of.address);
            let (own_len, own_line) =
                own.map_or((0, 0), |own| (own.len(), own.line(of.user).map_or(0, VecDeque::len)));
            let most = self.addresses.iter_mut().max_by_key(|address| address.len())?;
            let is_own = most.len() <= own_len;
            let from = match is_own {
                true => self.addresses.iter_mut().find(|address| address.address == of.address)?,
                false => most,
            };
            let line = from.lines.iter_mut().max_by_key(|line| line.waiters.len())?;
            if is_own && line.waiters.len() <= own_line {
                return None;
            }
            line.waiters.pop_back();
            self.forget_closed();
        }
        let at = self.addresses.iter().position(|address| address.address == of.address);
        let at = at.unwrap_or_else(|| {
            self.addresses.push_back(Address { address: of.address, lines: VecDeque::new() });
            self.addresses.len() - 1
        });
        Some(self.addresses.get_mut(at)?.line_or_new(of.user))
    }

    fn len(&self) -> usize {
        self.addresses.iter().map(Address::len).sum()
    }

    fn forget_closed(&mut self) {
        for address in &mut self.addresses {
            address.lines.iter_mut().for_each(|line| line.waiters.retain(|one| !one.is_closed()));
            address.lines.retain(|line| !line.waiters.is_empty());
        }
        self.addresses.retain(|address| !address.lines.is_empty());
    }
}

impl Address {
    fn len(&self) -> usize {
        self.lines.iter().map(|line| line.waiters.len()).sum()
    }

    fn line(&self, user: u64) -> Option<&VecDeque<Waiter>> {
        self.lines.iter().find(|line| line.user == user).map(|line| &line.waiters)
    }

    fn line_or_new(&mut self, user: u64) -> &mut VecDeque<Waiter> {
        let at = self.lines.iter().position(|line| line.user == user);
        let at = at.unwrap_or_else(|| {
            self.lines.push_back(Line { user, waiters: VecDeque::new() });
            self.lines.len() - 1
        });
        &mut self.lines[at].waiters
    }

    fn pop(&mut self, may_go: &impl Fn(&Applicant) -> bool) -> Option<(Applicant, Waiter)> {
        for _ in 0..self.lines.len() {
            let mut line = self.lines.pop_front()?;
            let of = Applicant { address: self.address, user: line.user };
            let found = if may_go(&of) { pop_open(&mut line.waiters) } else { None };
            if !line.waiters.is_empty() {
                self.lines.push_back(line);
            }
            if let Some(waiter) = found {
                return Some((of, waiter));
            }
        }
        None
    }
}

/// Takes the first that has not left.
fn pop_open(waiters: &mut VecDeque<Waiter>) -> Option<Waiter> {
    std::iter::from_fn(|| waiters.pop_front()).find(|waiter| !waiter.is_closed())
}

/// Returns what counts as one address: of IPv6 the network, of which one client has all addresses.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn one(turns: &Turns, peer: &str, user: &str) -> Option<Applicant> {
        Some(turns.applicant(peer, user))
    }

    #[tokio::test]
    async fn addresses_and_users_take_turns_and_known_passwords_go_first() {
        let turns = Turns::new(1);
        let held = turns.wait(None).await.unwrap();
        let mut waiting = Vec::new();
        for n in 0..20 {
            waiting.push((
                turns.enter(one(&turns, "10.0.0.1:1", "ann")).unwrap(),
                format!("flood {n}"),
            ));
        }
        for (peer, user, name) in [
            ("10.0.0.1:2", "ben", "same address"),
            ("[::ffff:10.0.0.2]:1", "ann", "other address"),
            ("10.0.0.2:1", "ann", "the same once more"),
        ] {
            waiting.push((turns.enter(one(&turns, peer, user)).unwrap(), name.to_owned()));
        }
        waiting.push((turns.enter(None).unwrap(), "known".to_owned()));
        drop(held);
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let at = waiting.iter_mut().position(|(turn, _)| turn.now_or_never().is_some());
            order.push(waiting.remove(at.unwrap()).1);
        }
        let first = ["known", "flood 0", "other address", "same address", "the same once more"];
        assert_eq!(order[..5], first);
    }

    #[tokio::test]
    async fn a_full_queue_has_room_for_an_address_that_waits_less() {
        let turns = Turns::new(1);
        let _held = turns.wait(None).await.unwrap();
        let mut waiting = Vec::new();
        for n in 0..WAITING {
            let user = format!("user {}", n / IN_LINE);
            waiting.push(turns.enter(one(&turns, "10.0.0.1:1", &user)).unwrap());
        }
        assert!(turns.enter(one(&turns, "10.0.0.1:1", "user 0")).is_none(), "its line is full");
        waiting.push(turns.enter(one(&turns, "10.0.0.1:1", "ann")).unwrap());
        waiting.push(turns.enter(one(&turns, "10.0.0.2:1", "ann")).unwrap());
        assert_eq!(turns.queue.lock().len(), WAITING);
        // Who has left makes room first.
        waiting.drain(..100);
        turns.enter(one(&turns, "10.0.0.3:1", "ann")).unwrap();
        assert!(turns.queue.lock().len() <= WAITING - 97);
    }

    #[tokio::test]
    async fn a_line_of_wrong_passwords_is_slowed_down_and_no_other() {
        let turns = Turns::new(1);
        let (ann, ben) = (one(&turns, "10.0.0.1:1", "ann"), one(&turns, "10.0.0.1:1", "ben"));
        let ask = async |of: Option<Applicant>| drop(turns.wait(of).await.unwrap());
        for _ in 0..FREE {
            ask(ann).await;
            turns.answered(ann.unwrap(), false);
        }
        ask(ann).await;
        let started = Instant::now();
        ask(ben).await;
        ask(one(&turns, "10.0.0.2:1", "ann")).await;
        ask(None).await;
        assert!(turns.next_of(&ann.unwrap()).unwrap() > started, "others did not wait for it");
        ask(ann).await;
        assert!(started.elapsed() >= PAUSE / 2, "it goes on");
        turns.answered(ann.unwrap(), true);
        assert_eq!(turns.next_of(&ann.unwrap()), None);
    }
}
