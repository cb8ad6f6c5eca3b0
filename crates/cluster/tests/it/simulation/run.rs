use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use leftfold_api::Timestamp;
use leftfold_fold::time::{FakeTime, Time};
use leftfold_io::fake::{Crash, SeededRandom};

use super::checker::Counted;
use super::clients::{ClientContext, Nodes};
use super::executor::Executor;
use super::history::{History, Outcome};
use super::machine::{Machine, StartNode};
use super::tally::Tally;
use crate::fake::{FakeKafka, Faults};

const MILLI: i64 = 1_000;
const SECOND: i64 = 1_000 * MILLI;
/// The time at the start of a run: in the year 2001.
const BEGINNING: i64 = 1_000_000_000 * SECOND;
/// How long faults happen, then clients go on without faults, and then nothing happens.
const CHAOS: i64 = 60 * SECOND;
const CALM: i64 = 60 * SECOND;
const REST: i64 = 20 * SECOND;
/// The number of polls at one moment, beyond which a run counts as one that never waits.
const MAX_POLLS: u64 = 1_000_000;

/// One run.
pub(crate) struct Run {
    random: Arc<SeededRandom>,
    time: FakeTime,
    kafka: FakeKafka,
    start: StartNode,
    machines: Vec<Machine>,
    clients: Executor,
    nodes: Nodes,
    history: History,
    is_over: Rc<RefCell<bool>>,
    next_fault: Option<i64>,
    tally: Tally,
}

/// Does a run, and returns what was wrong.
pub(crate) fn run(seed: u64, start: &StartNode) -> Result<Tally, String> {
    let random = Arc::new(SeededRandom::new(seed));
    let time = FakeTime::at(Timestamp(BEGINNING));
    let kafka = FakeKafka::new(time.clone(), random.clone(), Faults::choose(&random));
    let ahead = |_| random.below(4 * SECOND as u64) as i64 - 2 * SECOND;
    let machines =
        (0..2 + random.below(3) as usize).map(|number| Machine::new(number, ahead(number)));
    let mut run = Run {
        machines: machines.collect(),
        random,
        time,
        kafka,
        start: start.clone(),
        clients: Executor::default(),
        nodes: Nodes::default(),
        history: History::default(),
        is_over: Rc::default(),
        next_fault: Some(BEGINNING),
        tally: Tally::default(),
    };
    run.act()
}

impl Run {
    fn act(&mut self) -> Result<Tally, String> {
        for number in 0..self.machines.len() {
            self.start_machine(number);
        }
        for _ in 0..1 + self.random.below(4) {
            self.add_client();
        }
        self.run_until(BEGINNING + CHAOS)?;
        self.end_faults();
        let before = self.acknowledged();
        self.run_until(BEGINNING + CHAOS + CALM)?;
        if self.acknowledged() == before {
            self.check()?;
            return Err("no append was acknowledged although all faults had ended".to_owned());
        }
        *self.is_over.borrow_mut() = true;
        self.run_until(BEGINNING + CHAOS + CALM + REST)?;
        self.check()
    }

    fn check(&mut self) -> Result<Tally, String> {
        let counted = Counted::read(&self.kafka.log())?;
        self.history.with(|history| counted.check(history))?;
        for (number, machine) in self.machines.iter().enumerate() {
            let process = machine.process.as_ref().ok_or("a machine is off")?;
            counted.check_copy(&format!("n{number}"), &process.node.copy())?;
            if process.node.is_unfit() {
                return Err(format!("n{number} is unfit although its copy works"));
            }
        }
        let count = |outcome: fn(&Outcome) -> bool| {
            let appends = |history: &super::history::Events| {
                history.appends.iter().filter(|append| outcome(&append.outcome)).count() as u64
            };
            self.history.with(appends)
        };
        self.tally.acknowledged = count(|outcome| matches!(outcome, Outcome::Acknowledged(_)));
        self.tally.refused = count(|outcome| *outcome == Outcome::Refused);
        self.tally.unknown = count(|outcome| *outcome == Outcome::Unknown);
        self.tally.reads = self.history.with(|history| history.reads.len() as u64);
        (self.tally.terms, self.tally.void) = (counted.terms, counted.void);
        self.tally.kafka = self.kafka.happened();
        Ok(self.tally.clone())
    }

    /// Counts the nodes that can't serve the partition now.
    fn count_unfit(&mut self) {
        let running = self.machines.iter().filter_map(|machine| machine.process.as_ref());
        self.tally.unfit += running.filter(|process| process.node.is_unfit()).count() as u64;
    }

    fn acknowledged(&self) -> usize {
        self.history.with(|history| {
            let appends = history.appends.iter();
            appends.filter(|append| matches!(append.outcome, Outcome::Acknowledged(_))).count()
        })
    }

    fn add_client(&mut self) {
        let client = ClientContext {
            nodes: self.nodes.clone(),
            history: self.history.clone(),
            time: self.time.clone(),
            random: self.random.clone(),
            is_over: self.is_over.clone(),
            reads_of_ten: [1, 2, 8][self.random.below(3) as usize],
        };
        self.clients.spawn(Box::pin(client.run()));
    }

    /// Runs everything until a moment.
    fn run_until(&mut self, end: i64) -> Result<(), String> {
        loop {
            self.run_now()?;
            let back = self.machines.iter().filter_map(|machine| machine.back_at).min();
            let waits = self.time.next_wait().map(Timestamp::micros);
            let opens = self.machines.iter().filter_map(|machine| machine.opens_at).min();
            let moments = [waits, self.kafka.next_event(), self.next_fault, back, opens];
            let next = moments.into_iter().flatten().min().unwrap_or(end).max(self.now());
            if next >= end {
                self.time.set(Timestamp(end));
                return Ok(());
            }
            self.time.set(Timestamp(next));
            self.kafka.run_due();
            self.bring_back();
            self.mend_disks();
            if self.next_fault.is_some_and(|at| at <= next) {
                self.cause_fault();
                let pause = 5 * MILLI + self.random.below(1_500 * MILLI as u64) as i64;
                self.next_fault = Some(next + pause);
            }
        }
    }

    /// Runs everything that need not wait.
    fn run_now(&mut self) -> Result<(), String> {
        for _ in 0..MAX_POLLS {
            let count = self.machines.len() + 1;
            let first = self.random.below(count as u64) as usize;
            let mut order = (first..count).chain(0..first);
            if !order.any(|chosen| match self.machines.get_mut(chosen) {
                Some(machine) => machine.step(&self.random),
                None => self.clients.poll_one(&self.random),
            }) {
                return Ok(());
            }
        }
        Err(format!("something was always ready to run at {}", self.time.now()))
    }

    fn now(&self) -> i64 {
        self.time.now().micros()
    }

    fn start_machine(&mut self, number: usize) {
        let seed = self.random.next_u64();
        self.machines[number].start(&self.start, &self.kafka, &self.time, seed);
        self.list_nodes();
    }

    /// Tells clients which nodes run.
    fn list_nodes(&self) {
        let running = self.machines.iter().filter_map(|machine| machine.process.as_ref());
        *self.nodes.borrow_mut() = running.map(|process| process.node.clone()).collect();
    }

    /// Continues the machines whose time has come.
    fn bring_back(&mut self) {
        let now = self.now();
        for number in 0..self.machines.len() {
            let machine = &mut self.machines[number];
            if machine.back_at.is_none_or(|at| at > now) {
                continue;
            }
            machine.back_at = None;
            match &mut machine.process {
                Some(process) => process.is_paused = false,
                None => self.start_machine(number),
            }
        }
    }

    fn cause_fault(&mut self) {
        let number = self.random.below(self.machines.len() as u64) as usize;
        match self.random.below(21) {
            20 => self.break_disk(number),
            0 => self.kill(number),
            1 => self.pause(number),
            2..8 => self.assign(number),
            8 => self.kafka.forget_producers(),
            9 => self.kafka.forget_transactional_id(),
            10 => self.kafka.append_foreign(),
            11 => self.kafka.repeat_batch(),
            12 => self.kafka.refuse_appends(self.random.below(5 * SECOND as u64) as i64),
            13 => {
                if let Some(process) = &self.machines[number].process {
                    self.kafka.break_connection(&process.broker);
                }
            }
            14 => self.depose_leader_of(number),
            15..17 => self.cut_off_owner(number),
            _ => {}
        }
    }

    fn kill(&mut self, number: usize) {
        self.tally.kills += 1;
        let crash = match self.random.below(3) {
            0 => Crash::Forgets,
            1 => Crash::Keeps,
            _ => Crash::Tears(self.random.next_u64()),
        };
        let back = self.now() + self.random.below(15 * SECOND as u64) as i64;
        let machine = &mut self.machines[number];
        machine.kill(crash);
        machine.back_at = Some(back);
        self.list_nodes();
    }

    /// Lets a machine's disk open no file for a while. The node needs it when it starts again.
    fn break_disk(&mut self, number: usize) {
        let until = self.now() + self.random.below(40 * SECOND as u64) as i64;
        self.machines[number].opens_at = Some(until);
        self.machines[number].refuse_opens(true);
        self.kill(number);
    }

    /// Lets disks open files again whose time has come.
    fn mend_disks(&mut self) {
        let now = self.now();
        for machine in self.machines.iter_mut().filter(|m| m.opens_at.is_some_and(|at| at <= now)) {
            machine.opens_at = None;
            machine.refuse_opens(false);
        }
    }

    /// Pauses a node, mostly shortly, sometimes longer than every timeout.
    fn pause(&mut self, number: usize) {
        let longest = if self.random.one_in(3) { 60 * SECOND } else { 3 * SECOND };
        let back = self.now() + self.random.below(longest as u64) as i64;
        let machine = &mut self.machines[number];
        if let Some(process) = &mut machine.process {
            self.tally.pauses += 1;
            process.is_paused = true;
            machine.back_at = Some(back);
        }
    }

    /// Tells a node that it owns the partition, sometimes another one too. Most others are told that they don't.
    fn assign(&mut self, number: usize) {
        let second = match self.random.one_in(4) {
            true => self.random.below(self.machines.len() as u64) as usize,
            false => number,
        };
        for (other, machine) in self.machines.iter().enumerate() {
            if let Some(process) = &machine.process {
                let owns = other == number || other == second;
                if owns || self.random.below(3) > 0 {
                    process.assignment.set(owns);
                }
            }
        }
    }

    fn depose_leader_of(&self, number: usize) {
        if let Some(process) = &self.machines[number].process {
            let micros = self.random.below(20 * SECOND as u64) as i64;
            self.kafka.depose_leader_of(&process.broker, micros);
        }
    }

    /// Lets an owner reach only a deposed leader, and tells another node that it owns the partition now.
    fn cut_off_owner(&self, next: usize) {
        let is_owner = |machine: &Machine| {
            machine.process.as_ref().is_some_and(|process| process.assignment.is_owner())
        };
        let owner = self.machines.iter().position(is_owner).filter(|owner| *owner != next);
        if let (Some(owner), Some(process)) = (owner, &self.machines[next].process) {
            self.depose_leader_of(owner);
            process.assignment.set(true);
        }
    }

    /// Ends all faults: every node runs, and one of them owns the partition.
    fn end_faults(&mut self) {
        self.next_fault = None;
        self.kafka.set_faults(Faults::NONE);
        let now = self.now();
        for machine in &mut self.machines {
            machine.back_at = machine.back_at.map(|_| now);
            machine.opens_at = machine.opens_at.map(|_| now);
        }
        self.mend_disks();
        self.count_unfit();
        self.bring_back();
        let owner = self.random.below(self.machines.len() as u64) as usize;
        for (number, machine) in self.machines.iter().enumerate() {
            if let Some(process) = &machine.process {
                process.assignment.set(number == owner);
            }
        }
    }
}
