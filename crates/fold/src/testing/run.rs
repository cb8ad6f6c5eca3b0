use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leftfold_api::Timestamp;
use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Embedded, Manual, Options};

use super::store::SimStore;
use super::{Domain, Running, Tally, World};
use crate::time::FakeTime;

/// It is the year 2001 when a run begins.
const BEGINNING: i64 = 1_000_000_000_000_000;
/// At rest: the clock has jumped so often by so much, and nothing was written.
const QUIET_JUMPS: u32 = 12;
const JUMP: Duration = Duration::from_secs(4 * 3600);
/// Rounds in which everything that runs goes on, between two jumps.
const ROUNDS: u32 = 60;
/// When it has not come to rest after so many jumps it never will.
const MOST_JUMPS: u32 = 2_000;

/// One run.
pub(super) struct Run<'a, D> {
    domain: D,
    seed: u64,
    random: Arc<SeededRandom>,
    disk: FakeDisk,
    clock: Arc<ManualClock>,
    now: i64,
    /// None only while a crash is on.
    machine: Option<Machine>,
    turns: u64,
    left: u64,
    tally: &'a mut Tally,
}

/// What a crash takes.
struct Machine {
    running: Vec<Option<Running>>,
    acting: Vec<Running>,
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

    /// Opens the store and starts all that runs.
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
        let running = self.domain.runs(&world).into_iter().map(Some).collect();
        self.machine = Some(Machine { running, acting: Vec::new(), manual, world });
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let number = self.random.below(1_000);
        match number {
            0..650 => self.go_on()?,
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

    /// One of those that run goes on a little.
    fn go_on(&mut self) -> Result<(), String> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        let all = machine.running.len() + machine.acting.len();
        let chosen = self.random.below(all as u64) as usize;
        let ended = match chosen.checked_sub(machine.running.len()) {
            None => machine.go_on_running(chosen),
            Some(acting) => {
                machine.go_on_acting(acting);
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
            machine.acting.push(self.domain.act(&machine.world, self.turns));
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

    /// The process ends, in good order for the disk, and starts over.
    fn end_process(&mut self) -> Result<(), String> {
        self.tally.restarts += 1;
        self.stop();
        self.disk = self.disk.after(Crash::Keeps);
        self.start()
    }

    /// The power goes, perhaps in the middle of a write.
    fn lose_power(&mut self) -> Result<(), String> {
        self.tally.crashes += 1;
        self.disk.cut_power_at(self.disk.counts().changes + 1 + self.random.below(4));
        for _ in 0..self.random.below(20) {
            // Whatever they say now, nobody hears it.
            if let Some(machine) = &mut self.machine {
                let chosen = self.random.below(machine.running.len() as u64) as usize;
                machine.go_on_running(chosen);
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

    /// All that runs is gone, wherever it was.
    fn stop(&mut self) {
        let Some(machine) = self.machine.take() else { return };
        let Machine { running, acting, manual, world } = machine;
        drop((running, acting));
        // Whatever the store would still like to write is not written.
        self.disk.cut_power_at(self.disk.counts().changes);
        drop((world, manual));
    }

    /// Everything goes on, and the clock with it, until nothing more is written.
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
            if jumps > MOST_JUMPS {
                return Err("it never comes to rest: something is written for ever".to_owned());
            }
            self.jump(i64::try_from(JUMP.as_micros()).unwrap_or(i64::MAX));
        }
        Ok(())
    }

    fn round(&mut self) -> Result<(), String> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        for acting in (0..machine.acting.len()).rev() {
            machine.go_on_acting(acting);
        }
        let ended = (0..machine.running.len()).any(|chosen| machine.go_on_running(chosen));
        while machine.manual.write() {}
        machine.manual.rest();
        if ended { self.end_process() } else { Ok(()) }
    }

    fn head(&self) -> Option<leftfold_api::Cursor> {
        self.machine.as_ref().map(|machine| machine.world.store.embedded().blocking().head())
    }
}

impl Machine {
    /// Polls one of those that run; whether it has ended with an error.
    fn go_on_running(&mut self, chosen: usize) -> bool {
        let Some(slot) = self.running.get_mut(chosen) else { return false };
        let Some(running) = slot else { return false };
        match running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => false,
            Poll::Ready(ended) => {
                *slot = None;
                ended.is_err()
            }
        }
    }

    /// Polls one of the users. What users get wrong is theirs.
    fn go_on_acting(&mut self, chosen: usize) {
        let Some(acting) = self.acting.get_mut(chosen) else { return };
        if acting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(self.acting.swap_remove(chosen));
        }
    }
}
