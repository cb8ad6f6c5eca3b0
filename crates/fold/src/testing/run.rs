use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leftfold_api::Timestamp;
use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Embedded, Manual, Options};

use super::store::SimStore;
use super::{Domain, Running, Tally, World};
use crate::time::FakeTime;

/// The time at the start of a run: in the year 2001.
const BEGINNING: i64 = 1_000_000_000_000_000;
/// The run is at rest after this number of clock jumps without a write.
const QUIET_JUMPS: u32 = 12;
const JUMP: Duration = Duration::from_secs(4 * 3600);
/// The number of rounds between two jumps; each round polls every task.
const ROUNDS: u32 = 60;
/// The number of jumps after which the run counts as one that never comes to rest.
const MAX_JUMPS: u32 = 2_000;

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
    turns: u64,
    left: u64,
    tally: &'a mut Tally,
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
        let (now, machine, left) = (BEGINNING, None, turns);
        Run { domain, seed, random, disk, clock, now, machine, turns: 0, left, tally }
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
            None => machine.poll_task(chosen),
            Some(acting) => {
                machine.poll_action(acting);
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
                machine.poll_task(chosen);
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

    /// Runs everything, and the clock, until nothing more is written.
    fn come_to_rest(&mut self) -> Result<(), String> {
        while self.left > 0 {
            self.act();
        }
        let (mut quiet, mut jumps) = (0, 0);
        while quiet < QUIET_JUMPS {
            let before = self.head();
            for _ in 0..ROUNDS {
                self.round()?;
            }
            quiet = if self.head() == before { quiet + 1 } else { 0 };
            jumps += 1;
            if jumps > MAX_JUMPS {
                return Err("it never comes to rest: something is written for ever".to_owned());
            }
            self.jump(i64::try_from(JUMP.as_micros()).unwrap_or(i64::MAX));
        }
        Ok(())
    }

    fn round(&mut self) -> Result<(), String> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        for acting in (0..machine.actions.len()).rev() {
            machine.poll_action(acting);
        }
        let ended = (0..machine.tasks.len()).any(|chosen| machine.poll_task(chosen));
        while machine.manual.write() {}
        machine.manual.rest();
        if ended { self.end_process() } else { Ok(()) }
    }

    fn head(&self) -> Option<leftfold_api::Cursor> {
        self.machine.as_ref().map(|machine| machine.world.store.embedded().blocking().head())
    }
}

impl Machine {
    /// Polls one of the tasks; returns whether it has ended with an error.
    fn poll_task(&mut self, chosen: usize) -> bool {
        let _ambient = self.world.enter();
        let Some(slot) = self.tasks.get_mut(chosen) else { return false };
        let Some(running) = slot else { return false };
        match running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => false,
            Poll::Ready(ended) => {
                *slot = None;
                ended.is_err()
            }
        }
    }

    /// Polls one of the users; their errors are ignored.
    fn poll_action(&mut self, chosen: usize) {
        let _ambient = self.world.enter();
        let Some(acting) = self.actions.get_mut(chosen) else { return };
        if acting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(self.actions.swap_remove(chosen));
        }
    }
}
