//! Logs of updates: they replay a run to the bit, and tell how far they are good.

use gradus::ErrorKind;
use gradus::es::{Distribution, Header, Log, Perturbation, Term};
use gradus::optim::Tensor;
use half::bf16;

use crate::common::data::{Numbers, seed};
use crate::common::devices::devices;
use crate::common::memory::Guarded;
use crate::model::terms;

const HEADER: Header =
    Header { distribution: Distribution::Rademacher, rounding: Some(77), tag: 0xdead_beef_1234_5678 };

/// Updates of 3, 0, 1, 12 and 2 terms.
const UPDATES: [usize; 5] = [3, 0, 1, 12, 2];

fn updates() -> Vec<Vec<Term>> {
    let all = terms(20);
    UPDATES.into_iter().zip([0, 0, 5, 2, 16]).map(|(count, start)| all[start..start + count].to_vec()).collect()
}

fn log() -> Log {
    let mut log = Log::new(HEADER);
    updates().iter().for_each(|update| log.push(update).unwrap());
    log
}

#[track_caller]
fn good(result: Result<Log, gradus::Error>) -> (usize, usize) {
    match result.unwrap_err().kind() {
        ErrorKind::Log { updates, bytes, .. } => (*updates, *bytes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_is_read() {
    let log = log();
    assert_eq!(Log::parse(log.bytes()).unwrap(), log);
    assert_eq!((log.len(), log.header(), log.is_empty()), (5, HEADER, false));
    for (number, update) in updates().iter().enumerate() {
        assert_eq!(&log.terms(number).unwrap(), update);
    }
    assert!(log.terms(usize::MAX).is_err());
    assert!(log.terms(5).is_err() && log.bytes_from(6).is_err() && log.bytes_from(5).unwrap().is_empty());
    for header in [
        Header { distribution: Distribution::Normal, rounding: None, tag: 0 },
        Header { distribution: Distribution::Uniform, rounding: Some(0), tag: u64::MAX },
    ] {
        let empty = Log::new(header);
        assert_eq!(Log::parse(empty.bytes()).unwrap().header(), header);
        assert!(empty.is_empty());
    }
}

/// The format, to the byte.
#[test]
fn the_bytes_are_as_documented() {
    let mut log = Log::new(HEADER);
    log.push(&[Term { coefficient: -0.5, seed: 0x0102_0304_0506_0708, step: 9, pair: 10 }]).unwrap();
    let bytes = log.bytes();
    assert_eq!(bytes.len(), 72);
    assert_eq!(&bytes[..8], b"gradusES");
    assert_eq!(&bytes[8..16], [1, 0, 0, 0, 1, 0, 1, 0]);
    assert_eq!(&bytes[16..24], 77_u64.to_le_bytes());
    assert_eq!(&bytes[24..32], HEADER.tag.to_le_bytes());
    assert_eq!(&bytes[36..44], (-0.5_f64).to_le_bytes());
    assert_eq!(&bytes[44..52], [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(&bytes[52..68], [9, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0]);
    // zlib's crc32 of four zeros and the header's first 32 bytes, and of that check and the record's.
    let told = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((told(32), told(68)), (0x9205_bd20, 0x3829_ad17));
}

/// Cut off anywhere, the updates before are good, and are said to be.
#[test]
fn a_torn_log_says_how_far_it_is_good() {
    let log = log();
    let bytes = log.bytes();
    let ends: Vec<usize> = (0..=5).map(|update| bytes.len() - log.bytes_from(update).unwrap().len()).collect();
    for cut in 0..bytes.len() {
        match ends.iter().position(|end| *end == cut) {
            Some(updates) => assert_eq!(Log::parse(&bytes[..cut]).unwrap().len(), updates),
            None => {
                let updates = ends.iter().filter(|end| **end < cut).count().saturating_sub(1);
                let start = if cut < ends[0] { 0 } else { ends[updates] };
                assert_eq!(good(Log::parse(&bytes[..cut])), (updates, start), "cut at {cut}");
            }
        }
    }
    let error = Log::parse(&bytes[..ends[3] + 50]).unwrap_err();
    let told = "log: 50 bytes behind them are no whole update; the first 3 updates (216 bytes) are good";
    assert_eq!(error.to_string(), told);
    let salvaged = Log::parse(&bytes[..good(Err(error)).1]).unwrap();
    assert_eq!(salvaged.terms(1).unwrap(), updates()[1]);
}

/// Every bit counts, and so does the order.
#[test]
fn what_is_corrupted_is_found() {
    let log = log();
    let ends: Vec<usize> = (0..=5).map(|update| log.bytes().len() - log.bytes_from(update).unwrap().len()).collect();
    for bit in 0..8 * log.bytes().len() {
        let mut bytes = log.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (updates, _) = good(Log::parse(&bytes));
        let before = ends.iter().filter(|end| **end <= bit / 8).count().saturating_sub(1);
        assert_eq!(updates, before, "bit {bit}");
    }
    let cut = |from: usize, to: usize| [&log.bytes()[..from], &log.bytes()[to..]].concat();
    assert_eq!(good(Log::parse(&cut(ends[1], ends[2]))).0, 1, "an update was taken out");
    assert_eq!(good(Log::parse(&cut(ends[0], ends[0] + 36))).0, 0, "a record was taken out");
    let twice = [log.bytes(), log.bytes_from(4).unwrap()].concat();
    assert_eq!(good(Log::parse(&twice)).0, 5, "an update stands there twice");
    let mut other = Log::new(Header { tag: 0, ..HEADER });
    let error = other.extend(log.bytes_from(0).unwrap()).unwrap_err();
    assert!(error.to_string().contains("the first 0 updates (36 bytes) are good"), "{error}");
}

#[test]
fn what_no_run_does_is_refused() {
    let mut log = Log::new(HEADER);
    let term = terms(1)[0];
    assert!(log.push(&[term, Term { coefficient: f64::NAN, ..term }]).is_err());
    assert!(log.push(&[Term { pair: 1 << 20, ..term }]).is_err());
    assert_eq!(log, Log::new(HEADER));

    let device = &devices()[0];
    log.push(&[term]).unwrap();
    let mut weight = [0.5_f32; 3];
    let mut plan = Perturbation::<f32>::new(device, Distribution::Normal, &[Tensor::new(3)]).unwrap();
    let error = log.replay(0..1, &mut plan, &mut [(&mut weight[..]).into()]).unwrap_err();
    assert_eq!(error.to_string(), "replay: the plan draws Normal noise but the log tells of Rademacher");
    let mut plan = Perturbation::<f32>::new(device, Distribution::Rademacher, &[Tensor::new(3)]).unwrap();
    assert!(log.replay(0..1, &mut plan, &mut [(&mut weight[..]).into()]).is_err(), "rounded by chance to f32");
    assert!(log.replay(1..2, &mut plan, &mut [(&mut weight[..]).into()]).is_err(), "there is one update");
    assert_eq!(weight, [0.5; 3]);
}

/// A run on one device, a worker that comes late on another, and one that has missed updates: the same bits.
#[test]
fn late_workers_catch_up_to_the_bit() {
    const COUNT: usize = 20_005;
    let start: Vec<bf16> = Numbers::new(seed()).numbers(COUNT);
    let [first, .., last] = devices() else { panic!("two devices at least") };
    let plan = |device| Perturbation::<bf16>::new(device, HEADER.distribution, &[Tensor::new(COUNT)]).unwrap();

    let (mut log, mut of_run) = (Log::new(HEADER), plan(last));
    let mut run = Guarded::new(last, &start, 0);
    let mut returning = Log::new(HEADER);
    for (number, update) in updates().iter().enumerate() {
        log.push(update).unwrap();
        log.replay(number..number + 1, &mut of_run, &mut [run.view_mut()]).unwrap();
        if number == 1 {
            returning.extend(log.bytes_from(0).unwrap()).unwrap();
        }
    }
    let mut late = Guarded::new(first, &start, 3);
    log.replay(0..log.len(), &mut plan(first), &mut [late.view_mut()]).unwrap();
    assert!(late.elements() == run.elements());
    assert!(late.elements() != start);

    let (mut worker, mut of_worker) = (Guarded::new(first, &start, 0), plan(first));
    returning.replay(0..2, &mut of_worker, &mut [worker.view_mut()]).unwrap();
    returning.extend(log.bytes_from(2).unwrap()).unwrap();
    assert_eq!(returning, log);
    returning.replay(2..5, &mut of_worker, &mut [worker.view_mut()]).unwrap();
    assert!(worker.elements() == run.elements());
}
