use std::ops::Range;

use super::{Distribution, Perturbation, Rounding, Target, Term};
use crate::error::{ErrorKind, Result};
use crate::memory::ViewMut;

const MAGIC: &[u8; 8] = b"gradusES";
const VERSION: u32 = 1;
/// Bytes of a header and of a record, each with the four of its check at the end.
const HEADER: usize = 36;
const RECORD: usize = 36;
const CHECK: usize = 4;

/// The flag of a record that ends its update.
const LAST: u32 = 1;
/// The flag of a record of an update that has no terms.
const EMPTY: u32 = 2;

/// What holds for a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The distribution of the noise.
    pub distribution: Distribution,
    /// The seed of stochastic rounding to bf16; the step is the number of the update, from 0. `None`: to nearest.
    pub rounding: Option<u64>,
    /// What the caller wants to recognise the run by, as a hash of the model: it is kept, and not looked at.
    pub tag: u64,
}

/// The updates of a run, each a list of [`Term`]s: what a few bytes a step remember of it.
///
/// Parameters that begin with the same bits and go through the same updates have the same bits afterwards, whatever the devices, the
/// number of workers and the shards. So the log is a checkpoint, what workers send each other, and what a worker that comes late, or
/// comes back, catches up with: `bytes_from` what it lacks, [`extend`](Self::extend), [`replay`](Self::replay).
///
/// # Bytes
///
/// All numbers are little-endian. A header, and a record for every term:
///
/// | header | | record | |
/// |---|---|---|---|
/// | 0 | `gradusES` | 0 | coefficient: f64 |
/// | 8 | version: u32, 1 | 8 | seed: u64 |
/// | 12 | distribution: u16; 0 normal, 1 Rademacher, 2 uniform, 3 Hadamard | 16 | step: u64 |
/// | 14 | rounding: u16; 0 to nearest, 1 by chance | 24 | pair: u32 |
/// | 16 | seed of the rounding: u64 | 28 | flags: u32; 1 the last of its update, 2 of an update without terms (and zeros) |
/// | 24 | tag: u64 | 32 | check: u32 |
/// | 32 | check: u32 | | |
///
/// A check is the CRC-32 (that of zlib) of the four bytes of the check before, of which the header has zeros, and of what stands
/// before it in the header or record: no record can be changed, lost from the middle, or moved unseen.
///
/// ```
/// use gradus::es::{Distribution, Header, Log, Perturbation, Term};
/// use gradus::optim::Tensor;
/// use gradus::Device;
///
/// let header = Header { distribution: Distribution::Normal, rounding: None, tag: 0 };
/// let mut log = Log::new(header);
/// log.push(&[Term { coefficient: -1e-3, seed: 1, step: 0, pair: 0 }])?;
/// let mut plan = Perturbation::<f32>::new(&Device::cpu(), header.distribution, &[Tensor::new(3)])?;
/// let mut weight = [0.1_f32, 0.2, 0.3];
/// log.replay(0..log.len(), &mut plan, &mut [(&mut weight[..]).into()])?;
///
/// let stored = Log::parse(log.bytes())?;
/// let mut again = [0.1_f32, 0.2, 0.3];
/// stored.replay(0..stored.len(), &mut plan, &mut [(&mut again[..]).into()])?;
/// assert_eq!(again, weight);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    header: Header,
    bytes: Vec<u8>,
    /// Where each update ends.
    ends: Vec<usize>,
}

impl Log {
    /// A log without updates.
    pub fn new(header: Header) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(code(header.distribution).to_le_bytes());
        bytes.extend(u16::from(header.rounding.is_some()).to_le_bytes());
        bytes.extend(header.rounding.unwrap_or(0).to_le_bytes());
        bytes.extend(header.tag.to_le_bytes());
        bytes.extend(check(0, &bytes).to_le_bytes());
        Self { header, bytes, ends: Vec::new() }
    }

    /// The log of these bytes.
    ///
    /// Errors: [`ErrorKind::Log`](crate::ErrorKind::Log), which says how many updates are good and how many bytes those are, so that
    /// what is left can be read: bytes that were torn off, changed or put in, another format or version.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let Some((head, records)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(bad(format!("a header has {HEADER} bytes, not {}", bytes.len()), 0, 0));
        };
        if head[..8] != *MAGIC {
            return Err(bad("this is no log of updates".to_owned(), 0, 0));
        }
        let version = u32_at(head, 8);
        if version != VERSION {
            return Err(bad(format!("version {version} is not {VERSION}"), 0, 0));
        }
        if u32_at(head, 32) != check(0, &head[..HEADER - CHECK]) {
            return Err(bad("the header is not what was written".to_owned(), 0, 0));
        }
        let [distribution, rounding] = [12, 14].map(|at| u16::from_le_bytes([head[at], head[at + 1]]));
        let known = Distribution::ALL.into_iter().find(|known| code(*known) == distribution);
        let rounding = match rounding {
            0 => Some(None),
            1 => Some(Some(u64_at(head, 16))),
            _ => None,
        };
        let (Some(distribution), Some(rounding)) = (known, rounding) else {
            return Err(bad("a distribution or rounding that is not known".to_owned(), 0, 0));
        };
        let mut log = Self::new(Header { distribution, rounding, tag: u64_at(head, 24) });
        log.extend(records)?;
        Ok(log)
    }

    /// What holds for the run.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The number of updates.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no updates.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The whole log.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of the updates from one on: what is appended to a file, or sent to who has those before. Errors: there are fewer.
    pub fn bytes_from(&self, update: usize) -> Result<&[u8]> {
        self.within(update)?;
        Ok(&self.bytes[self.start(update)..])
    }

    /// Puts an update behind the others. Errors: a coefficient that is not finite; a pair of 2²⁰ or more.
    pub fn push(&mut self, terms: &[Term]) -> Result<()> {
        Term::check_all(terms)?;
        let Some((last, before)) = terms.split_last() else {
            self.record(&Term { coefficient: 0.0, seed: 0, step: 0, pair: 0 }, LAST | EMPTY);
            self.ends.push(self.bytes.len());
            return Ok(());
        };
        before.iter().for_each(|term| self.record(term, 0));
        self.record(last, LAST);
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// Takes the updates of another log of the same run that come behind those of this one: their bytes.
    ///
    /// Errors: as [`parse`](Self::parse); the good ones are taken all the same. Bytes of another run, or of other updates than those
    /// that come next, fail at the first record.
    pub fn extend(&mut self, records: &[u8]) -> Result<()> {
        let mut update = Vec::new();
        let mut rest = records;
        while let Some((record, behind)) = rest.split_first_chunk::<RECORD>() {
            let before = update.last_chunk().copied().unwrap_or_else(|| self.last_check());
            let (flags, told) = (u32_at(record, 28), u32_at(record, RECORD - CHECK));
            let term = term(record);
            if told != check(u32::from_le_bytes(before), &record[..RECORD - CHECK]) {
                return Err(self.bad("the next record is not what was written behind the one before".to_owned()));
            }
            let is_empty = flags & EMPTY != 0;
            if flags & !(LAST | EMPTY) != 0 || is_empty && (flags & LAST == 0 || !update.is_empty()) {
                return Err(self.bad(format!("the next record has the flags {flags:#x}")));
            }
            if let Err(error) = term.check(update.len() / RECORD) {
                return Err(self.bad(error.to_string()));
            }
            update.extend(record);
            if flags & LAST != 0 {
                self.bytes.append(&mut update);
                self.ends.push(self.bytes.len());
            }
            rest = behind;
        }
        match update.len() + rest.len() {
            0 => Ok(()),
            torn => Err(self.bad(format!("{torn} bytes behind them are no whole update"))),
        }
    }

    /// The terms of an update. Errors: there is no such update.
    pub fn terms(&self, update: usize) -> Result<Vec<Term>> {
        self.within(update.saturating_add(1))?;
        let records = self.bytes[self.start(update)..self.ends[update]].as_chunks::<RECORD>().0;
        Ok(records.iter().filter(|record| u32_at(&record[..], 28) & EMPTY == 0).map(term).collect())
    }

    /// Does updates to the parameters: to the bits of the run, if the parameters are those that it had before them.
    ///
    /// Errors: there are fewer updates; another distribution than the plan's; stochastic rounding to another type than bf16; as
    /// [`Perturbation::apply`]. The plan rounds to nearest afterwards.
    pub fn replay<P: Target<P>>(
        &self,
        updates: Range<usize>,
        plan: &mut Perturbation<P>,
        parameters: &mut [ViewMut<'_, P>],
    ) -> Result<()> {
        self.within(updates.end)?;
        let Header { distribution, rounding, .. } = self.header;
        if plan.distribution() != distribution {
            let message =
                format!("the plan draws {:?} noise but the log tells of {distribution:?}", plan.distribution());
            return Err(ErrorKind::Noise { what: "replay".to_owned(), message }.into());
        }
        let mut replayed = Ok(());
        for update in updates {
            replayed = replayed
                .and_then(|()| match rounding {
                    Some(seed) => plan.set_rounding(Rounding::Stochastic { seed, step: update as u64 }),
                    None => plan.set_rounding(Rounding::Nearest),
                })
                .and_then(|()| plan.apply(&self.terms(update)?, parameters));
        }
        plan.set_rounding(Rounding::Nearest)?;
        replayed
    }

    fn record(&mut self, term: &Term, flags: u32) {
        let before = u32::from_le_bytes(self.last_check());
        let start = self.bytes.len();
        self.bytes.extend(term.coefficient.to_le_bytes());
        self.bytes.extend(term.seed.to_le_bytes());
        self.bytes.extend(term.step.to_le_bytes());
        self.bytes.extend((term.pair as u32).to_le_bytes());
        self.bytes.extend(flags.to_le_bytes());
        let check = check(before, &self.bytes[start..]);
        self.bytes.extend(check.to_le_bytes());
    }

    /// Where an update begins, which is where the one before it ends.
    fn start(&self, update: usize) -> usize {
        if update == 0 { HEADER } else { self.ends[update - 1] }
    }

    fn last_check(&self) -> [u8; CHECK] {
        self.bytes.last_chunk().copied().unwrap_or_default()
    }

    fn within(&self, updates: usize) -> Result<()> {
        if updates <= self.len() {
            return Ok(());
        }
        let message = format!("there are {} updates, and not {updates}", self.len());
        Err(ErrorKind::Noise { what: "log".to_owned(), message }.into())
    }

    fn bad(&self, message: String) -> crate::Error {
        bad(message, self.len(), self.bytes.len())
    }
}

fn bad(message: String, updates: usize, bytes: usize) -> crate::Error {
    ErrorKind::Log { message, updates, bytes }.into()
}

/// The CRC-32 of a check and what stands behind it.
fn check(before: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&before.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn term(record: &[u8; RECORD]) -> Term {
    Term {
        coefficient: f64::from_bits(u64_at(record, 0)),
        seed: u64_at(record, 8),
        step: u64_at(record, 16),
        pair: u32_at(record, 24).into(),
    }
}

fn code(distribution: Distribution) -> u16 {
    match distribution {
        Distribution::Normal => 0,
        Distribution::Rademacher => 1,
        Distribution::Uniform => 2,
        Distribution::Hadamard => 3,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}
