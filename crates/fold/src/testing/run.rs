use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use leftfold_api::Timestamp;
use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Embedded, Manual, Options};

use super::store::SimStore;
use super::{Domain, Running, Tally, World};
use crate::time::FakeTime;

/// The time at the start of a run: in the year 2001.
const BEGINNING: i64 = 1_000_000_000_000_000;
/// The number of rounds without a write, and of those without a wake-up, before the clock moves. A
/// round polls every task. Tasks that wake themselves for ever are not waited for. After a restart a runner
/// goes through all commands since its checkpoint, each with several delayed calls, and writes nothing.
const UNWRITTEN_ROUNDS: u32 = 1_000;
const IDLE_ROUNDS: u32 = 3;
/// The limits of a run that comes to rest: the moments that something waits for, and the years
/// until then, and the rounds at one moment. Beyond them the run counts as one that never comes to rest.
const MAX_MOMENTS: u32 = 10_000;
const MAX_YEARS: i64 = 100;
const MAX_ROUNDS: u32 = 100_000;
const YEAR_MICROS: i64 = 365 * 86_400 * 1_000_000;

/// One run.
pub(super) struct Run<'a, D> {
    domain: D,
    seed: u64,
    random: Arc<SeededRandom>,
    disk: FakeDisk,
    clock: Arc<ManualClock>,
    now: i64,
    /// `None` only during a crash.
    machine: Option<Machine>,
    woken: Arc<Woken>,
    turns: u64,
    left: u64,
    tally: &'a mut Tally,
}

/// Whether a task was woken since the last look.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The parts of a run that a crash ends.
struct Machine {
    tasks: Vec<Option<Running>>,
    actions: Vec<Running>,
    manual: Manual,
    world: World,
}

impl<'a, D: Domain> Run<'a, D> {
    pub(super) fn new(domain: D, seed: u64, turns: u64, tally: &'a mut Tally) -> Self {
        let (random, disk) = (Arc::new(SeededRandom::new(seed)), FakeDisk::new());
        let clock = Arc::new(ManualClock::at(BEGINNING));
        let (now, machine, left, woken) = (BEGINNING, None, turns, Arc::default());
        Run { domain, seed, random, disk, clock, now, machine, woken, turns: 0, left, tally }
    }

    pub(super) fn run(mut self, steps: u64) -> Result<(), String> {
        self.start()?;
        for _ in 0..steps {
            self.step()?;
        }
        self.come_to_rest()?;
        let machine = self.machine.as_ref().ok_or("the machine is off")?;
        self.domain.check_at_rest(&machine.world)
    }

    /// Opens the store and starts all tasks.
    fn start(&mut self) -> Result<(), String> {
        let mut options = Options::default();
        options.log.segment_bytes = 4_096 << (self.seed % 6);
        let random = Arc::new(SeededRandom::new(self.random.next_u64()));
        let disk = Arc::new(self.disk.clone());
        let (embedded, manual) =
            Embedded::open_manual(disk, self.clock.clone(), random, options)
                .map_err(|error| format!("the store does not open after a crash: {error}"))?;
        let store = Arc::new(SimStore::new(embedded, self.random.clone()));
        let time = FakeTime::at(Timestamp(self.now));
        let world = World { store, time, random: self.random.clone() };
        let ambient = world.enter();
        let tasks = self.domain.runs(&world).into_iter().map(Some).collect();
        drop(ambient);
        self.machine = Some(Machine { tasks, actions: Vec::new(), manual, world });
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let number = self.random.below(1_000);
        match number {
            0..650 => self.poll_one()?,
            650..900 => _ = self.machine.as_mut().is_some_and(|machine| machine.manual.write()),
            900..930 => _ = self.machine.as_mut().is_some_and(|machine| machine.manual.maintain()),
            930..940 => self.machine.iter_mut().for_each(|machine| machine.manual.rest()),
            940..955 => self.move_clock(),
            955..990 => self.act(),
            990..996 => self.lose_power()?,
            _ => self.end_process()?,
        }
        let machine = self.machine.as_ref().ok_or("the machine is off")?;
        match number % 16 {
            0 => self.domain.check(&machine.world),
            _ => Ok(()),
        }
    }

    /// Polls one of the tasks or users.
    fn poll_one(&mut self) -> Result<(), String> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        let all = machine.tasks.len() + machine.actions.len();
        let chosen = self.random.below(all as u64) as usize;
        let ended = match chosen.checked_sub(machine.tasks.len()) {
            None => machine.poll_task(chosen, Waker::noop()),
            Some(acting) => {
                machine.poll_action(acting, Waker::noop());
                false
            }
        };
        if ended { self.end_process() } else { Ok(()) }
    }

    fn act(&mut self) {
        if let Some(machine) = &mut self.machine
            && self.left > 0
        {
            self.left -= 1;
            let _ambient = machine.world.enter();
            machine.actions.push(self.domain.act(&machine.world, self.turns));
            self.turns += 1;
            self.tally.turns += 1;
        }
    }

    fn move_clock(&mut self) {
        let micros = match self.random.below(8) {
            0 => -(self.random.below(5_000_000) as i64),
            1 => self.random.below(7_200_000_000) as i64,
            _ => self.random.below(3_000_000) as i64,
        };
        self.jump(micros);
    }

    fn jump(&mut self, micros: i64) {
        self.now += micros;
        self.clock.advance(micros);
        self.tally.jumps += 1;
        if let Some(machine) = &self.machine {
            machine.world.time.set(Timestamp(self.now));
        }
    }

    /// Ends the process and starts it again; the disk keeps unsynced writes.
    fn end_process(&mut self) -> Result<(), String> {
        self.tally.restarts += 1;
        self.stop();
        self.disk = self.disk.after(Crash::Keeps);
        self.start()
    }

    /// Cuts the power, perhaps in the middle of a write, and starts again.
    fn lose_power(&mut self) -> Result<(), String> {
        self.tally.crashes += 1;
        self.disk.cut_power_at(self.disk.counts().changes + 1 + self.random.below(4));
        for _ in 0..self.random.below(20) {
            // Results after the cut are ignored.
            if let Some(machine) = &mut self.machine {
                let chosen = self.random.below(machine.tasks.len() as u64) as usize;
                machine.poll_task(chosen, Waker::noop());
                machine.manual.write();
            }
        }
        self.stop();
        let crash = match self.random.below(3) {
            0 => Crash::Forgets,
            1 => Crash::Keeps,
            _ => Crash::Tears(self.random.next_u64()),
        };
        self.disk = self.disk.after(crash);
        self.start()
    }

    /// Drops all tasks and the store.
    fn stop(&mut self) {
        let Some(machine) = self.machine.take() else { return };
        let Machine { tasks, actions, manual, world } = machine;
        drop((tasks, actions));
        // Discard whatever the store would still write while it is dropped.
        self.disk.cut_power_at(self.disk.counts().changes);
        drop((world, manual));
    }

    /// Runs everything, and moves the clock to the next moment that anything waits for, until
    /// nothing is written and nothing waits.
    fn come_to_rest(&mut self) -> Result<(), String> {
        while self.left > 0 {
            self.act();
        }
        let begun = self.now;
        for _ in 0..MAX_MOMENTS {
            self.settle()?;
            let Some(next) = self.next_wait() else { return Ok(()) };
            if next.micros().saturating_sub(begun) > MAX_YEARS.saturating_mul(YEAR_MICROS) {
                return Err(format!(
                    "it never comes to rest: something waits until {next}, in over {MAX_YEARS} years"
                ));
            }
            self.jump(next.micros() - self.now);
        }
        let now = Timestamp(self.now);
        Err(format!("it never comes to rest: it waited {MAX_MOMENTS} times, at last until {now}"))
    }

    /// Runs everything at one moment, until nothing more is written.
    fn settle(&mut self) -> Result<(), String> {
        let (mut unwritten, mut idle, mut head) = (0, 0, self.head());
        for _ in 0..MAX_ROUNDS {
            let woken = self.round()?;
            let before = std::mem::replace(&mut head, self.head());
            let written = before != head;
            idle = if woken || written { 0 } else { idle + 1 };
            unwritten = if written { 0 } else { unwritten + 1 };
            if idle == IDLE_ROUNDS || unwritten == UNWRITTEN_ROUNDS {
                return Ok(());
            }
        }
        Err("it never comes to rest: something is written for ever".to_owned())
    }

    /// Returns the next moment that anything waits for. The end of time never comes.
    fn next_wait(&self) -> Option<Timestamp> {
        let next = self.machine.as_ref()?.world.time.next_wait();
        next.filter(|at| at.micros() < i64::MAX)
    }

    /// Polls everything once, and lets the store write. Returns whether anything can go on.
    fn round(&mut self) -> Result<bool, String> {
        let Some(machine) = &mut self.machine else { return Ok(false) };
        let waker = Waker::from(self.woken.clone());
        for acting in (0..machine.actions.len()).rev() {
            machine.poll_action(acting, &waker);
        }
        let ended = (0..machine.tasks.len()).any(|chosen| machine.poll_task(chosen, &waker));
        while machine.manual.write() {}
        machine.manual.rest();
        if ended {
            self.end_process()?;
        }
        Ok(self.woken.0.swap(false, Ordering::SeqCst) || ended)
    }

    fn head(&self) -> Option<leftfold_api::Cursor> {
        self.machine.as_ref().map(|machine| machine.world.store.embedded().blocking().head())
    }
}

impl Machine {
    /// Polls one of the tasks; returns whether it has ended with an error.
    fn poll_task(&mut self, chosen: usize, waker: &Waker) -> bool {
        let _ambient = self.world.enter();
        let Some(slot) = self.tasks.get_mut(chosen) else { return false };
        let Some(running) = slot else { return false };
        match running.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Pending => false,
            Poll::Ready(ended) => {
                *slot = None;
                ended.is_err()
            }
        }
    }

    /// Polls one of the users; their errors are ignored.
    fn poll_action(&mut self, chosen: usize, waker: &Waker) {
        let _ambient = self.world.enter();
        let Some(acting) = self.actions.get_mut(chosen) else { return };
        if acting.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            drop(self.actions.swap_remove(chosen));
        }
    }
}
