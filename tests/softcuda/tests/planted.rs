//! Planted bugs: every kernel runs clean in every schedule, and every mutant of it must end in a fitting fault in every
//! schedule, or in a wrong result where no checker can know better, or stand in a table with the reason. What became of
//! each is told with `--nocapture`.

#![allow(clippy::result_large_err)]

#[path = "planted/cases.rs"]
mod cases;
#[path = "planted/mutants.rs"]
mod mutants;

use std::fmt::Write;

use cases::{Case, Sabotage};
use mutants::{Change, Mutant};
use softcuda::check::{AccessErrorKind, Fault, FaultKind};
use softcuda::machine::Options;

/// Kernel, change, line, which of the lines that read so, reason.
type Entry = (&'static str, Change, &'static str, usize, &'static str);

/// Mutants that do what the kernel does.
const EQUIVALENT: &[Entry] = &[
    ("reduce", Change::Guard, "@%p5 bra $L__BB0_10;", 0, "every thread of the block writes the same sum"),
    ("transpose", Change::Guard, "@%p1 bra $L__BB1_13;", 0, "never taken: 64 * ctaid.y does not wrap"),
    ("transpose", Change::Guard, "@%p2 bra $L__BB1_7;", 0, "never taken: tid.y < 8"),
    ("transpose", Change::Guard, "@%p2 bra $L__BB1_12;", 0, "never taken: tid.y < 8"),
    ("pipeline", Change::Guard, "@%p1 bra $L__BB2_6;", 0, "never taken: at least one tile"),
    ("reload", Change::CopyWait, "cp.async.wait_group 0;", 1, "redundant: the first has waited for all"),
    ("own", Change::CopyWait, "cp.async.wait_group 0;", 1, "redundant: the first has waited for all"),
    ("adamw_bf16_bf16", Change::Guard, "@%p2 bra $L__BB5_4;", 0, "never taken: no chunk is empty"),
    ("adamw_bf16_bf16", Change::Guard, "@%p11 bra $L__BB5_17;", 0, "never taken: nothing surrounds the rule"),
    ("adamw_bf16_bf16", Change::Guard, "@%p14 bra $L__BB5_10;", 0, "the loop of single runs behind it does the rest"),
    ("adamw_bf16_bf16", Change::Address, "ld.global.f32 %f23, [%rd43+4];", 0, AROUND),
    ("adamw_bf16_bf16", Change::Address, "ld.global.f32 %f24, [%rd43+8];", 0, AROUND),
    ("adamw_bf16_bf16", Change::Address, "ld.global.f32 %f25, [%rd43+12];", 0, AROUND),
];
const AROUND: &str = "the scalars of what may surround the rule are all 0";

/// Lines that no thread comes to, from a label to another: kernel, both labels, reason.
const UNREACHED: &[(&str, &str, &str, &str)] =
    &[("adamw_bf16_bf16", "$L__BB5_17:", "$L__BB5_6:", "the loop of steps with something around the rule")];

/// Whether a mutant is of such a line.
fn is_unreached(kernel: &str, mutant: &Mutant) -> bool {
    UNREACHED.iter().filter(|row| row.0 == kernel).any(|(_, first, last, _)| {
        let mut labels = mutant.ptx.lines().zip(1..).filter(|(line, _)| line == first || line == last);
        let (Some((_, start)), Some((_, end))) = (labels.next(), labels.next()) else { panic!("no {first} or {last}") };
        (start..end).contains(&mutant.line)
    })
}

/// Mutants that are wrong and that nothing tells: gaps of the checks. One that is found counts as flagged.
const GAPS: &[Entry] = &[];

fn schedules() -> Vec<Options> {
    let base = Options { threads: 1, instruction_limit: 1 << 20, quantum: 1000, ..Options::default() };
    let mut all = vec![base.clone(), Options { one_lane: true, ..base.clone() }];
    for seed in 1..=3 {
        all.push(Options { seed, ..base.clone() });
        all.push(Options { seed, one_lane: true, quantum: 50, ..base.clone() });
    }
    all
}

#[test]
fn unmutated_kernels_run_clean() {
    for case in cases::all() {
        for options in schedules() {
            match case.run(case.ptx, options.clone(), Sabotage::None) {
                Ok(right) => assert!(right, "{}: a wrong result, {options:?}", case.kernel),
                Err(fault) => panic!("{}: {fault:?}, {options:?}", case.kernel),
            }
        }
    }
}

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// A fault in every schedule, of a launch at least.
    Flagged,
    /// A fault in some schedules only.
    Sometimes,
    /// No fault, and a wrong result in a schedule at least.
    Wrong,
    /// No fault, and the right result.
    Same,
}

#[test]
fn mutants_are_flagged() {
    let cases = cases::all();
    let (mut flagged, mut equivalent, mut unreached, mut wrong, mut gaps) = (0, 0, 0, 0, 0);
    let mut bad = String::new();
    for launches in cases.chunk_by(|a, b| a.kernel == b.kernel) {
        let mut seen: Vec<(Change, String)> = Vec::new();
        for (mutant, sabotage) in mutants(&launches[0]) {
            let (kernel, change) = (launches[0].kernel, mutant.change);
            let nth = seen.iter().filter(|(c, was)| (*c, was) == (change, &mutant.was)).count();
            seen.push((change, mutant.was.clone()));
            let (verdict, told) = judge(launches, &mutant, sabotage, &mut bad);
            let key = (kernel, change, mutant.was.as_str(), nth);
            let listed = |table: &[Entry]| {
                table.iter().find(|entry| (entry.0, entry.1, entry.2, entry.3) == key).map(|entry| entry.4)
            };
            let gap = listed(GAPS);
            let reason = listed(EQUIVALENT);
            let what = format!("{kernel:15} {change:20} {:4} {:58}", mutant.line, mutant.was);
            match (verdict, reason, gap) {
                (Verdict::Same, None, None) if is_unreached(kernel, &mutant) => unreached += 1,
                (Verdict::Flagged, None, _) => flagged += 1,
                (Verdict::Wrong, None, None) if change.may_be_silent() => wrong += 1,
                (Verdict::Same, Some(_), None) => equivalent += 1,
                (_, None, Some(_)) => gaps += 1,
                _ => writeln!(bad, "{what} {verdict:?} {told}").unwrap(),
            }
            let why = reason.or(gap).map_or(String::new(), |reason| format!("({reason})"));
            println!("{what} {verdict:?} {told}{why}");
        }
    }
    println!(
        "planted: {flagged} flagged, {equivalent} equivalent, {unreached} unreached, {wrong} wrong results, {gaps} gaps"
    );
    assert!(bad.is_empty(), "\n{bad}");
    assert_eq!(equivalent, EQUIVALENT.len(), "an equivalent that is none");
    assert!(flagged > 130, "{flagged}");
}

/// Every mutant of a kernel: of its text, and of its launch.
fn mutants(case: &Case) -> Vec<(Mutant, Sabotage)> {
    let texts = mutants::of(case.ptx, case.kernel).into_iter().map(|mutant| (mutant, Sabotage::None));
    let launch = |change, index: usize| Mutant {
        change,
        line: 0,
        was: case.buffers[index].name.to_owned(),
        ptx: case.ptx.to_owned(),
    };
    let buffers = 0..case.buffers.len();
    let freed = buffers.clone().map(|index| (launch(Change::Freed, index), Sabotage::Free(index)));
    // A buffer that is only written may be left unwritten.
    let read = buffers.filter(|&index| case.buffers[index].before.is_some() && case.buffers[index].name != "scratch");
    let unwritten = read.map(|index| (launch(Change::Unwritten, index), Sabotage::Unwritten(index)));
    texts.chain(freed).chain(unwritten).collect()
}

/// Runs a mutant in all schedules of all launches. Faults that do not fit go to `bad`.
fn judge(launches: &[Case], mutant: &Mutant, sabotage: Sabotage, bad: &mut String) -> (Verdict, String) {
    let mut verdict = Verdict::Same;
    let mut told = String::new();
    for case in launches {
        let (mut faults, mut wrong) = (0, false);
        for options in schedules() {
            match case.run(&mutant.ptx, options.clone(), sabotage) {
                Ok(right) => wrong |= !right,
                Err(fault) => {
                    faults += 1;
                    if !fits(mutant, &fault) {
                        writeln!(bad, "{} {}: {fault:?}, {options:?}", mutant.change, mutant.was).unwrap();
                    }
                    if told.is_empty() {
                        told = format!("{} ", tell(&fault));
                    }
                }
            }
        }
        let found = match (faults, wrong) {
            (0, false) => Verdict::Same,
            (0, true) => Verdict::Wrong,
            _ if faults == schedules().len() => Verdict::Flagged,
            _ => Verdict::Sometimes,
        };
        verdict = verdict.min(found);
    }
    (verdict, told)
}

fn tell(fault: &Fault) -> String {
    match &fault.kind {
        FaultKind::Access(error) => match &error.other {
            Some(other) => format!("{:?} at {} with {}", error.kind, fault.line, other.line),
            None => format!("{:?} at {}", error.kind, fault.line),
        },
        other => format!("{other:?} at {}", fault.line),
    }
}

/// Whether a fault is of the kind that a change causes, at the changed line or one that it affects.
fn fits(mutant: &Mutant, fault: &Fault) -> bool {
    use AccessErrorKind::{CopyInFlight, GlobalRace, Misaligned, OutOfBounds, SharedRace, Uninitialised, UseAfterFree};
    let lines: Vec<&str> = mutant.ptx.lines().collect();
    if lines[fault.line as usize - 1].trim() != fault.text.trim() {
        return false;
    }
    let (access, other) = match &fault.kind {
        FaultKind::Access(error) => (Some(error.kind), error.other.as_ref().map(|other| other.line)),
        _ => (None, None),
    };
    let is = |kinds: &[AccessErrorKind]| access.is_some_and(|kind| kinds.contains(&kind));
    let here = fault.line == mutant.line || other == Some(mutant.line);
    let pending = matches!(fault.kind, FaultKind::CopiesPending { .. });
    match mutant.change {
        Change::Barrier => is(&[SharedRace, GlobalRace, CopyInFlight, Uninitialised]),
        Change::WarpBarrier => is(&[SharedRace, Uninitialised]) && fault.text.contains(".shared"),
        Change::CopyWait | Change::CopyCommit => pending || is(&[CopyInFlight]) && fault.text.contains(".shared"),
        // A store that went elsewhere is missed by a later load; a wrong pointer is used later.
        Change::Address => {
            is(&[SharedRace, GlobalRace, CopyInFlight, Uninitialised, Misaligned, OutOfBounds])
                && (here || fault.line > mutant.line)
        }
        // Without its loop a copy is not waited for.
        Change::Guard => {
            let behind = fault.line.max(other.unwrap_or(0)) > mutant.line;
            pending || is(&[SharedRace, GlobalRace, CopyInFlight, Uninitialised, Misaligned, OutOfBounds]) && behind
        }
        Change::Mask => {
            here && matches!(fault.kind, FaultKind::UnsatisfiedMask { .. } | FaultKind::ShuffleSource { .. })
        }
        Change::Atomic => here && is(&[SharedRace, GlobalRace]),
        Change::Freed => is(&[UseAfterFree]),
        Change::Unwritten => is(&[Uninitialised]),
    }
}
