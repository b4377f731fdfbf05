//! The interpreter: one split of a warp, instruction by instruction.
//!
//! Every instruction is one arm that treats 32 lanes in a loop, which the compiler turns into vector code. The body is
//! compiled twice: for any host, and with AVX2, FMA and bit counts for hosts that have them. The bits are the same:
//! `mul_add` is exact either way.

mod body;

use super::block::Env;
use super::registers::Registers;
use super::stop::Stop;
use super::warp::Side;
use body::body;

/// Why a split stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The next instruction is another split's, or the budget is used up.
    Limit,
    /// The split's counter is behind a branch that these lanes took.
    Diverge { taken: u32, target: u32 },
    /// An indexed branch that is not uniform, still ahead.
    Indexed { active: u32 },
    /// A `.sync` instruction, still ahead, that these lanes alone cannot execute.
    Sync { active: u32 },
    /// A barrier, still ahead.
    Barrier { active: u32 },
    /// The end of these lanes.
    Exit { active: u32 },
    /// Another warp may run.
    Yield,
}

/// Runs lanes from `pc` until it reaches `limit`, `budget` instructions are done, or they cannot go on as one.
#[allow(unsafe_code)]
pub fn run(
    registers: &mut Registers,
    side: &mut Side,
    env: &mut Env<'_>,
    pc: &mut u32,
    mask: u32,
    limit: u32,
    budget: &mut u64,
) -> Result<Pause, Stop> {
    #[cfg(target_arch = "x86_64")]
    if env.run.wide {
        // SAFETY: `wide` is what `is_wide` found: the host has every feature that the function is compiled for.
        return unsafe { run_wide(registers, side, env, pc, mask, limit, budget) };
    }
    body(registers, side, env, pc, mask, limit, budget)
}

/// Whether the host has what the wide body needs.
pub fn is_wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        has!("avx2") && has!("fma") && has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("popcnt")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn run_wide(
    registers: &mut Registers,
    side: &mut Side,
    env: &mut Env<'_>,
    pc: &mut u32,
    mask: u32,
    limit: u32,
    budget: &mut u64,
) -> Result<Pause, Stop> {
    body(registers, side, env, pc, mask, limit, budget)
}
