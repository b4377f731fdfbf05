//! A block: its warps in turns, and what they share.

use std::time::Instant;

use super::barrier::Barriers;
use super::registers::Specials;
use super::stop::Stop;
use super::warp::{Turn, Warp};
use crate::check::Place;
use crate::count::{Classes, Counters};
use crate::ir::Special;
use crate::lower::{Class, Program};
use crate::machine::{Accumulation, Approximation};
use crate::memory::{BlockMemory, GlobalAccess, LaneBytes, SharedMemory};

/// What holds for a whole launch.
pub struct Run<'a> {
    pub(super) program: &'a Program,
    pub(super) global: &'a GlobalAccess<'a>,
    pub(super) parameters: &'a [u8],
    pub(super) grid: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) dynamic_shared: u32,
    pub(super) multiprocessors: u32,
    /// The workspace of a cooperative launch, or 0.
    pub(super) workspace: u64,
    pub(super) approximation: Approximation,
    pub(super) accumulation: Accumulation,
    pub(super) check_initialised: bool,
    pub(super) check_shared_races: bool,
    pub(super) one_lane: bool,
    pub(super) seed: u64,
    pub(super) quantum: u64,
    pub(super) instruction_limit: u64,
    /// The host has AVX2 and FMA.
    pub(super) wide: bool,
    pub(super) started: Instant,
}

/// Instructions by class.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    warps: [u64; Class::COUNT],
    threads: [u64; Class::COUNT],
}

impl Counts {
    /// One instruction of some lanes.
    #[inline(always)]
    pub fn add(&mut self, class: Class, active: u32) {
        self.warps[class as usize] += 1;
        self.threads[class as usize] += u64::from(active.count_ones());
    }

    /// One that was counted and will be again.
    pub fn take_back(&mut self, class: Class, active: u32) {
        self.warps[class as usize] -= 1;
        self.threads[class as usize] -= u64::from(active.count_ones());
    }

    fn classes(counts: &[u64; Class::COUNT]) -> Classes {
        let of = |class: Class| counts[class as usize];
        Classes {
            integer: of(Class::Integer),
            f32: of(Class::F32) + of(Class::FusedF32),
            f64: of(Class::F64) + of(Class::FusedF64),
            f16: of(Class::F16),
            convert: of(Class::Convert),
            special: of(Class::Special),
            moves: of(Class::Moves),
            compare: of(Class::Compare),
            control: of(Class::Control),
            global: of(Class::Global),
            shared: of(Class::Shared),
            local: of(Class::Local),
            constant: of(Class::Constant),
            atomic: of(Class::Atomic),
            warp: of(Class::Warp),
            barrier: of(Class::Barrier),
            matrix: of(Class::Matrix),
            fused: of(Class::FusedF32) + of(Class::FusedF64),
        }
    }
}

/// What the warps of a block share.
pub struct Env<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) program: &'a Program,
    pub(super) global: BlockMemory<'a>,
    pub(super) shared: SharedMemory,
    pub(super) parameters: &'a [u8],
    pub(super) barriers: Barriers,
    pub(super) counts: Counts,
    pub(super) counters: Counters,
    /// Takes the traffic that is not counted.
    pub(super) uncounted: Counters,
    pub(super) place: Place,
    /// The bytes of the access at hand.
    pub(super) bytes: Box<LaneBytes>,
}

impl Env<'_> {
    /// The warp's lanes are in step.
    pub(super) fn warp_barrier(&mut self, warp: u32) {
        self.counters.warp_barriers += 1;
        self.shared.warp_barrier(warp);
        self.global.warp_barrier(warp);
    }

    /// A barrier of the block was passed.
    pub(super) fn passed_barrier(&mut self) {
        self.counters.block_barriers += 1;
        self.shared.block_barrier();
        self.global.block_barrier();
    }
}

/// A generator of schedules: splitmix64.
pub struct Random(u64);

impl Random {
    /// Numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Puts a list into random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

/// A block that runs.
pub struct Block<'a> {
    env: Env<'a>,
    warps: Vec<Warp>,
    /// Warps that have not ended, in the order of their turns.
    order: Vec<u32>,
    random: Random,
}

/// How a round of a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Every warp has ended.
    Done,
    /// No warp could do anything.
    Blocked,
    /// Some warps can go on.
    Ready,
}

impl<'a> Block<'a> {
    /// The block of a linear index, with warps made of those given.
    pub fn new(run: &'a Run<'a>, index: u64, mut warps: Vec<Warp>) -> Self {
        let [x, y, z] = run.block;
        let threads = x * y * z;
        let [grid_x, grid_y, _] = run.grid.map(u64::from);
        let at = [index % grid_x, index / grid_x % grid_y, index / grid_x / grid_y].map(|part| part as u32);
        let count = threads.div_ceil(32);
        warps.resize_with(count as usize, Warp::default);
        let shared = run.program.dynamic_shared + run.dynamic_shared;
        let env = Env {
            run,
            program: run.program,
            global: BlockMemory::new(run.global),
            shared: SharedMemory::new(shared, run.check_initialised, run.check_shared_races),
            parameters: run.parameters,
            barriers: Barriers::new(threads),
            counts: Counts::default(),
            counters: Counters { blocks: 1, warps: count.into(), ..Counters::default() },
            uncounted: Counters::default(),
            place: Place { line: 0, block: at, warp: 0 },
            bytes: Box::new([0; 1024]),
        };
        for (warp, number) in warps.iter_mut().zip(0..) {
            let special = |special, lane| value(run, special, index, at, number, lane);
            let specials =
                Specials { parameters: run.parameters, dynamic_shared: run.program.dynamic_shared, special: &special };
            warp.registers.begin(run.program, &specials);
            warp.begin(number, threads - 32 * number, run.program.local, run.one_lane);
        }
        let random = Random::new(run.seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
        Self { env, warps, order: (0..count).collect(), random }
    }

    /// Gives every warp a turn.
    pub fn round(&mut self, quantum: u64) -> Result<Round, Stop> {
        let seeded = self.env.run.seed != 0;
        if seeded {
            self.random.shuffle(&mut self.order);
        }
        let mut any = false;
        let mut done = false;
        for &index in &self.order {
            // A seeded schedule also cuts turns short, to a power of two.
            let quantum = if seeded { (quantum >> (self.random.next() % 12)).max(1) } else { quantum };
            let warp = &mut self.warps[index as usize];
            self.env.place.warp = index;
            let before = warp.side.executed;
            let turn = warp.turn(&mut self.env, quantum)?;
            any |= turn != Turn::Blocked || warp.side.executed != before;
            done |= turn == Turn::Done;
        }
        if done {
            let warps = &self.warps;
            self.order.retain(|&index| warps[index as usize].side.live != 0);
        }
        Ok(match (self.order.is_empty(), any) {
            (true, _) => Round::Done,
            (false, true) => Round::Ready,
            (false, false) => Round::Blocked,
        })
    }

    /// Why the block cannot go on.
    pub fn stuck(&self) -> Stop {
        self.warps[self.order[0] as usize].stuck(&self.env)
    }

    /// What the block did, and its warps for another.
    pub fn finish(self) -> (Counters, Vec<Warp>) {
        let mut counters = self.env.counters;
        counters.warp_instructions = Counts::classes(&self.env.counts.warps);
        counters.thread_instructions = Counts::classes(&self.env.counts.threads);
        (counters, self.warps)
    }
}

/// The value of a special register.
fn value(run: &Run<'_>, special: Special, index: u64, block: [u32; 3], warp: u32, lane: u32) -> u64 {
    let [x, y, z] = run.block;
    let thread = 32 * warp + lane;
    let of = |values: [u32; 3], axis: u8| values.get(axis as usize).copied().unwrap_or_default();
    let value = match special {
        Special::Tid(axis) => of([thread % x, thread / x % y, thread / x / y], axis),
        Special::Ntid(axis) => of([x, y, z], axis),
        Special::Ctaid(axis) => of(block, axis),
        Special::Nctaid(axis) => of(run.grid, axis),
        Special::LaneId => lane,
        Special::WarpId => warp,
        Special::NWarpId => (x * y * z).div_ceil(32),
        Special::SmId => (index % u64::from(run.multiprocessors)) as u32,
        Special::NSmId => run.multiprocessors,
        Special::LaneMaskEq => 1 << lane,
        Special::LaneMaskLe => (2_u32 << lane).wrapping_sub(1),
        Special::LaneMaskLt => (1 << lane) - 1,
        Special::LaneMaskGe => !((1 << lane) - 1),
        Special::LaneMaskGt => !(2_u32 << lane).wrapping_sub(1),
        // High and low half of the workspace's address.
        Special::Env(1) => (run.workspace >> 32) as u32,
        Special::Env(2) => run.workspace as u32,
        Special::DynamicSharedSize => run.dynamic_shared,
        Special::TotalSharedSize => run.program.dynamic_shared + run.dynamic_shared,
        Special::WarpSize => 32,
        Special::Env(_) | Special::GridId => 0,
        // These change while a kernel runs, and are read by steps of their own.
        Special::Clock | Special::Clock64 | Special::GlobalTimer => 0,
    };
    value.into()
}
