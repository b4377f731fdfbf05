//! Names of types, state spaces and special registers.

use crate::ir::{Space, Special, Type};

const TYPES: &[(&str, Type)] = &[
    ("pred", Type::Pred),
    ("b8", Type::B8),
    ("b16", Type::B16),
    ("b32", Type::B32),
    ("b64", Type::B64),
    ("b128", Type::B128),
    ("u8", Type::U8),
    ("u16", Type::U16),
    ("u32", Type::U32),
    ("u64", Type::U64),
    ("s8", Type::S8),
    ("s16", Type::S16),
    ("s32", Type::S32),
    ("s64", Type::S64),
    ("f16", Type::F16),
    ("f16x2", Type::F16x2),
    ("bf16", Type::Bf16),
    ("bf16x2", Type::Bf16x2),
    ("tf32", Type::Tf32),
    ("f32", Type::F32),
    ("f64", Type::F64),
];

/// The type of a name without its dot.
pub(super) fn type_named(name: &str) -> Option<Type> {
    TYPES.iter().find(|(known, _)| *known == name).map(|&(_, ty)| ty)
}

/// The name of a type, without a dot.
pub fn type_name(ty: Type) -> &'static str {
    TYPES.iter().find(|&&(_, known)| known == ty).map_or("", |(name, _)| name)
}

/// The state space of a name without its dot.
pub(super) fn space_named(name: &str) -> Option<Space> {
    Some(match name {
        "global" => Space::Global,
        "shared" | "shared::cta" => Space::Shared,
        "local" => Space::Local,
        "const" => Space::Const,
        "param" => Space::Param,
        _ => return None,
    })
}

const SPECIALS: &[(&str, Special)] = &[
    ("%laneid", Special::LaneId),
    ("%warpid", Special::WarpId),
    ("%nwarpid", Special::NWarpId),
    ("%smid", Special::SmId),
    ("%nsmid", Special::NSmId),
    ("%gridid", Special::GridId),
    ("%lanemask_eq", Special::LaneMaskEq),
    ("%lanemask_le", Special::LaneMaskLe),
    ("%lanemask_lt", Special::LaneMaskLt),
    ("%lanemask_ge", Special::LaneMaskGe),
    ("%lanemask_gt", Special::LaneMaskGt),
    ("%clock", Special::Clock),
    ("%clock64", Special::Clock64),
    ("%globaltimer", Special::GlobalTimer),
    ("%dynamic_smem_size", Special::DynamicSharedSize),
    ("%total_smem_size", Special::TotalSharedSize),
    ("WARP_SZ", Special::WarpSize),
];

type Vector = fn(u8) -> Special;

const VECTORS: &[(&str, Vector)] =
    &[("%tid", Special::Tid), ("%ntid", Special::Ntid), ("%ctaid", Special::Ctaid), ("%nctaid", Special::Nctaid)];

/// The special register of a name that is not a vector.
pub(super) fn special_named(name: &str) -> Option<Special> {
    if let Some(&(_, special)) = SPECIALS.iter().find(|(known, _)| *known == name) {
        return Some(special);
    }
    let index = name.strip_prefix("%envreg")?;
    (0..32u8).find(|env| env.to_string() == index).map(Special::Env)
}

/// The special vector register of a name: `%tid` and its like.
pub(super) fn special_vector(name: &str) -> Option<Vector> {
    VECTORS.iter().find(|(known, _)| *known == name).map(|&(_, vector)| vector)
}

/// The name of a special register.
pub fn special_name(special: Special) -> String {
    let vector = |name: &str, axis: u8| format!("{name}.{}", ["x", "y", "z"][usize::from(axis.min(2))]);
    match special {
        Special::Tid(axis) => vector("%tid", axis),
        Special::Ntid(axis) => vector("%ntid", axis),
        Special::Ctaid(axis) => vector("%ctaid", axis),
        Special::Nctaid(axis) => vector("%nctaid", axis),
        Special::Env(index) => format!("%envreg{index}"),
        _ => SPECIALS.iter().find(|&&(_, known)| known == special).map_or("", |(name, _)| name).to_owned(),
    }
}

/// The type of a special register.
pub fn special_type(special: Special) -> Type {
    match special {
        Special::Clock64 | Special::GlobalTimer | Special::GridId => Type::U64,
        Special::Env(_) => Type::B32,
        _ => Type::U32,
    }
}
