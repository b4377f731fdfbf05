//! What lanes of a warp and threads of a block do together.

use super::{BarrierKind, BarrierStep, Lowerer, MatchStep, Op, ReduxStep, Result, ShuffleStep, VoteStep};
use crate::ir::{BarrierReduction, Operation, Vote};

impl Lowerer<'_> {
    pub(super) fn warp(&mut self, operation: &Operation) -> Result<()> {
        use Operation as O;
        let op = match operation {
            O::Shfl { mode, dst, valid, a, b, c, mask } => {
                let valid = match valid {
                    Some(valid) => Some(self.predicate_register(*valid)?),
                    None => None,
                };
                let d = self.word_register(*dst)?;
                let (a, b, c, mask) = (self.word(a)?, self.word(b)?, self.word(c)?, self.word(mask)?);
                Op::Shuffle(Box::new(ShuffleStep { mode: *mode, d, valid, a, b, c, mask }))
            }
            O::Vote { mode, dst, predicate, mask } => {
                let predicate = self.predicate_operand(predicate)?;
                let d = match mode {
                    Vote::Ballot => self.word_register(*dst)?,
                    _ => self.predicate_register(*dst)?,
                };
                Op::Vote(Box::new(VoteStep { mode: *mode, d, predicate, mask: self.word(mask)? }))
            }
            O::Match { all, ty, dst, valid, a, mask } => {
                let valid = match valid {
                    Some(valid) => Some(self.predicate_register(*valid)?),
                    None => None,
                };
                let (d, a, mask) = (self.word_register(*dst)?, self.place(a, ty.bits())?, self.word(mask)?);
                Op::Match(Box::new(MatchStep { all: *all, d, valid, a, mask }))
            }
            O::Redux { op, ty, dst, a, mask } => {
                let (d, a, mask) = (self.word_register(*dst)?, self.word(a)?, self.word(mask)?);
                Op::Redux(Box::new(ReduxStep { op: *op, signed: ty.is_signed(), d, a, mask }))
            }
            O::ActiveMask { dst } => Op::ActiveMask(self.word_register(*dst)?),
            O::BarWarp { mask } => Op::WarpBarrier(self.word(mask)?),
            O::Bar { barrier, threads, .. } => {
                let barrier = self.word(barrier)?;
                let threads = match threads {
                    Some(threads) => Some(self.word(threads)?),
                    None => None,
                };
                Op::Barrier(Box::new(BarrierStep { kind: BarrierKind::Wait, barrier, threads }))
            }
            O::BarArrive { barrier, threads, .. } => {
                let (barrier, threads) = (self.word(barrier)?, Some(self.word(threads)?));
                Op::Barrier(Box::new(BarrierStep { kind: BarrierKind::Arrive, barrier, threads }))
            }
            O::BarRed { op, dst, barrier, threads, predicate, .. } => {
                let barrier = self.word(barrier)?;
                let threads = match threads {
                    Some(threads) => Some(self.word(threads)?),
                    None => None,
                };
                let predicate = self.predicate_operand(predicate)?;
                let d = match op {
                    BarrierReduction::Popc => self.word_register(*dst)?,
                    _ => self.predicate_register(*dst)?,
                };
                let kind = BarrierKind::Reduce(*op, d, predicate);
                Op::Barrier(Box::new(BarrierStep { kind, barrier, threads }))
            }
            _ => return self.refuse("not an operation of a warp"),
        };
        self.emit(op);
        Ok(())
    }
}
