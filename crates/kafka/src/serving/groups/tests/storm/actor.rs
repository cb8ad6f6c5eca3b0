//! A client that does anything a client may do, in any order.

use tokio::time::{sleep, timeout};

use super::*;

pub(super) struct Actor {
    index: u64,
    /// The longest pause between two requests.
    pace: Duration,
    consumer: Consumer,
    history: Arc<History>,
    dice: Dice,
    is_survivor: bool,
}

impl Actor {
    pub(super) fn new(
        groups: &Arc<Groups>,
        history: &Arc<History>,
        mut dice: Dice,
        index: u64,
        pace: Duration,
    ) -> Self {
        let protocols: [&[_]; 3] = [&["a", "b"], &["b", "a"], &["b"]];
        let mut consumer = Consumer::new(groups).with_protocols(protocols[dice.roll(3) as usize]);
        consumer.session = pace * 30;
        consumer.rebalance = pace * 20;
        match index % 4 {
            // Now and then two actors have the same instance, as after a mistake of an operator.
            0 => consumer = consumer.with_instance(&format!("static{}", index % 20)),
            1 => consumer = consumer.with_version(3),
            _ => {}
        }
        // Of each instance one may survive, or they would fence each other for ever.
        let is_survivor = index < 20 && index.is_multiple_of(3);
        Actor { index, pace, consumer, history: Arc::clone(history), dice, is_survivor }
    }

    /// Lives until it is calm; then a survivor stays in the group until the end, the others go.
    pub(super) async fn live(mut self, stage: Arc<Stage>) {
        while !stage.is_calm.load(Ordering::Relaxed) {
            if self.enter().await {
                self.stay().await;
            }
            let pause = self.dice.time(self.pace);
            sleep(pause).await;
        }
        if !self.is_survivor && self.dice.is(2) {
            return;
        }
        while self.is_survivor && !stage.is_over.load(Ordering::Relaxed) {
            if self.consumer.heartbeat() != 0 {
                self.enter_calmly().await;
            }
            stage.survivors.lock().insert(self.index, self.consumer.id.clone());
            sleep(self.pace).await;
        }
        self.consumer.leave();
    }

    /// Joins and syncs. Its connection may be lost at any time.
    async fn enter(&mut self) -> bool {
        if self.dice.is(4) {
            let patience = self.dice.time(self.pace * 10);
            let entered = timeout(patience, self.enter_calmly()).await;
            return entered.unwrap_or(false);
        }
        self.enter_calmly().await
    }

    async fn enter_calmly(&mut self) -> bool {
        let answer = self.consumer.join().await;
        match answer.error_code {
            0 => {}
            code => {
                let may = [UnknownMemberId, RebalanceInProgress, FencedInstanceId];
                assert!(may.map(error).contains(&code), "join: {code}");
                self.forget();
                return false;
            }
        }
        self.history.join(&self.consumer);
        let shares = if self.consumer.is_leader() && !answer.skip_assignment {
            self.history.offer(&self.consumer)
        } else {
            Vec::new()
        };
        let answer = self.consumer.sync(&shares).await;
        if answer.error_code == 0 {
            self.history.receive(&self.consumer, &answer.assignment);
            return true;
        }
        let may = [UnknownMemberId, RebalanceInProgress, FencedInstanceId, IllegalGeneration];
        assert!(may.map(error).contains(&answer.error_code), "sync: {}", answer.error_code);
        if answer.error_code != error(RebalanceInProgress) {
            self.forget();
        }
        false
    }

    /// Sends heartbeats until something happens.
    async fn stay(&mut self) {
        for _ in 0..self.dice.roll(40) {
            let pause = self.dice.time(self.pace);
            sleep(pause).await;
            match self.consumer.heartbeat() {
                0 => {}
                code if code == error(RebalanceInProgress) => return,
                _ => return self.forget(),
            }
            // A commit may find out later than the heartbeat, never the other way round.
            let _ = self.consumer.may_commit();
        }
        match self.dice.roll(5) {
            0 => {
                self.consumer.leave();
                self.forget();
            }
            // It dies, and another process starts.
            1 => self.forget(),
            2 => {
                let topics = ["a", "b", "c"];
                let topic = topics[self.dice.roll(3) as usize];
                for (_, metadata) in &mut self.consumer.protocols {
                    *metadata = subscription(&[topic]);
                }
            }
            // It is paused for longer than its session.
            3 => sleep(self.consumer.session * 2).await,
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.consumer.id = consumer::text("");
        self.consumer.generation = -1;
    }
}
