//! Checks that the answers of the store, and its events after a crash, are those that the model allows.

use leftfold_api::{AppendError, Appended, Coded};

use super::model::{Model, Op, Outcome};
use super::run::Run;

/// An append and its answer, if there was one.
pub(crate) type AnsweredOp = (Op, Option<Result<Appended, AppendError>>);

impl Run<'_> {
    /// Checks answers. Written appends must be those of the model, in the order of positions. A refusal must
    /// have been right at some time in between.
    pub(crate) fn judge(&mut self, ops: Vec<Op>, answers: Vec<Result<Appended, AppendError>>) {
        let mut moments = vec![self.model.clone()];
        let mut answered: Vec<_> = ops.into_iter().zip(answers).collect();
        answered.sort_by_key(|(_, answer)| match answer {
            Ok(Appended { positions: Some((first, _)), repeated: false, .. }) => *first,
            _ => u64::MAX,
        });
        let (mut undecided, mut moved) = (Vec::new(), Vec::new());
        for (op, answer) in answered {
            match answer {
                Ok(Appended { positions: Some((first, _)), repeated: false, .. }) => {
                    // A move without events has no position, so it may have come before.
                    while self.model.outcome(&op) != Outcome::Written(first) && !moved.is_empty() {
                        let earlier: Op = moved.remove(0);
                        self.model.write(&earlier);
                        moments.push(self.model.clone());
                    }
                    assert_eq!(self.model.outcome(&op), Outcome::Written(first), "{op:?}");
                    self.model.write(&op);
                    self.tally.written += 1;
                    moments.push(self.model.clone());
                }
                Ok(Appended { positions: None, .. }) => moved.push(op),
                other => undecided.push((op, other)),
            }
        }
        for op in moved {
            let possible = moments.iter().any(|m| matches!(m.outcome(&op), Outcome::Written(_)))
                || matches!(self.model.outcome(&op), Outcome::Written(_));
            assert!(possible, "{op:?}");
            self.model.write(&op);
            moments.push(self.model.clone());
        }
        for (op, answer) in undecided {
            let outcome = match &answer {
                Ok(Appended { positions, .. }) => {
                    self.tally.repeated += 1;
                    let (first, last) = positions.unwrap();
                    Outcome::Repeated(first, last)
                }
                Err(error) => {
                    self.tally.refused += 1;
                    self.tally.conflicts += u64::from(matches!(error, AppendError::Conflict(_)));
                    self.tally.tombstoned += u64::from(error.code() == "stream_tombstoned");
                    Outcome::Refused(error.code())
                }
            };
            // A move without events has no position, so it may have come before any write.
            let checkpoints = moments.iter().map(|model| &model.checkpoints);
            let possible = checkpoints.into_iter().any(|checkpoints| {
                moments.iter().any(|model| {
                    let model = Model { checkpoints: checkpoints.clone(), ..model.clone() };
                    model.outcome(&op) == outcome
                })
            });
            assert!(possible, "{op:?} was answered {answer:?}");
        }
    }

    /// Adds to the model the appends that survived a crash: all acknowledged ones, and whole ones of the
    /// others.
    pub(crate) fn adopt_survivors(&mut self, ops: Vec<AnsweredOp>) {
        let acknowledged = self.model.head();
        let found = super::raw::read(&self.disk);
        assert!(found.len() as u64 >= acknowledged, "acknowledged events are lost");
        for raw in &found[..acknowledged as usize] {
            let event = self.model.user(raw.position);
            assert!(event.is_none_or(|event| event.is_raw(raw)), "{event:?} became {raw:?}");
        }
        let mut rest = &found[acknowledged as usize..];
        // Refused and repeated appends were not written. The outcome of a failed one is unknown.
        let mut possible: Vec<_> = ops
            .into_iter()
            .filter(|(_, answer)| match answer {
                None | Some(Err(AppendError::Failure(_))) => true,
                Some(Ok(appended)) => !appended.repeated,
                Some(Err(_)) => false,
            })
            .collect();
        while !rest.is_empty() {
            let survivor = possible.iter().position(|(op, _)| {
                let events = &op.events;
                !events.is_empty()
                    && events.len() <= rest.len()
                    && events.iter().zip(rest).all(|(event, stored)| event.is_raw(stored))
            });
            let (op, answer) =
                possible.remove(survivor.unwrap_or_else(|| panic!("half an append: {rest:?}")));
            rest = &rest[op.events.len()..];
            let written = Outcome::Written(self.model.head() + 1);
            assert!(op.checkpoint.is_some() || self.model.outcome(&op) == written, "{op:?}");
            self.model.write(&op);
            self.tally.unanswered_kept += u64::from(!matches!(answer, Some(Ok(_))));
        }
        for (op, answer) in &possible {
            let lost = !op.events.is_empty();
            assert!(!(lost && matches!(answer, Some(Ok(_)))), "acknowledged and lost: {op:?}");
            self.tally.unanswered_lost += u64::from(lost);
        }
        self.adopt_moves(&possible);
    }

    /// Adds surviving moves without events, which are visible only in the checkpoint.
    fn adopt_moves(&mut self, ops: &[AnsweredOp]) {
        for name in ["c0", "c1"] {
            let is = self.store().blocking().checkpoint(name).unwrap();
            let to = |op: &Op| op.checkpoint.as_ref().filter(|to| to.0 == name).map(|to| to.2);
            let moves =
                ops.iter().filter(|(op, _)| op.events.is_empty()).filter_map(|(op, _)| to(op));
            let before = self.model.checkpoints.get(name).copied();
            let candidates: Vec<_> = before.into_iter().chain(moves).collect();
            match candidates.iter().find(|at| is == Some(self.cursor(**at))) {
                Some(at) => _ = self.model.checkpoints.insert(name.to_owned(), *at),
                None => assert!(is.is_none() && before.is_none(), "{name}: {is:?}, {candidates:?}"),
            }
        }
    }
}
