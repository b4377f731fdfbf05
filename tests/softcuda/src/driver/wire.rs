//! Faults, counters and options as JSON, both ways: the library and those who install it are compiled apart.

use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::check::{AccessError, AccessErrorKind, Fault, FaultKind, Place, Toucher};
use crate::count::{Classes, Counters, SharedTraffic, Traffic};
use crate::machine::{Approximation, Options};

/// A field of an object.
fn take<T: DeserializeOwned, E: Error>(object: &mut Map<String, Value>, name: &str) -> Result<T, E> {
    let value = object.remove(name).unwrap_or(Value::Null);
    serde_json::from_value(value).map_err(|error| E::custom(format!("{name}: {error}")))
}

macro_rules! read_structs {
    ($($type:ident { $($field:ident),* $(,)? })*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut object = Map::deserialize(deserializer)?;
                Ok(Self { $($field: take(&mut object, stringify!($field))?),* })
            }
        }
    )*};
}

macro_rules! read_names {
    ($($type:ident { $($name:ident),* $(,)? })*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                match String::deserialize(deserializer)?.as_str() {
                    $(stringify!($name) => Ok(Self::$name),)*
                    name => Err(Error::custom(format!("unknown: {name}"))),
                }
            }
        }
    )*};
}

read_structs! {
    Toucher { line, block, thread, wrote }
    Place { line, block, warp }
    AccessError { kind, address, bytes, lane, other, detail }
    Fault { kernel, kind, line, text, block, thread, other_text }
    Counters {
        launches, blocks, warps, warp_instructions, thread_instructions, global_read, global_written, shared,
        divergent_branches, block_barriers, divergent_barriers, warp_barriers, global_atomics, shared_atomics,
    }
    Classes {
        integer, f32, f64, f16, convert, special, moves, compare, control, global, shared, local, constant, atomic, warp,
        barrier, matrix, fused,
    }
    Traffic { requests, bytes, sectors, ideal_sectors }
    SharedTraffic { requests, wavefronts, ideal_wavefronts }
    Options {
        seed, one_lane, threads, approximation, check_initialised, check_shared_races, check_global_races, strict_float,
        quantum, instruction_limit,
    }
}

read_names! {
    AccessErrorKind {
        OutOfBounds, UseAfterFree, Misaligned, Uninitialised, SharedRace, GlobalRace, CopyInFlight, NotAnAllocation,
    }
    Approximation { Nearest, PlusError, MinusError }
}

macro_rules! read_fault_kind {
    ($($variant:ident { $($field:ident),* })*) => {
        impl<'de> Deserialize<'de> for FaultKind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (name, value) = match Value::deserialize(deserializer)? {
                    Value::String(name) => (name, Value::Null),
                    Value::Object(object) => object.into_iter().next().ok_or_else(|| Error::custom("no fault"))?,
                    other => return Err(Error::custom(format!("not a fault: {other}"))),
                };
                match name.as_str() {
                    "Access" => serde_json::from_value(value).map(Self::Access).map_err(Error::custom),
                    "Trap" => Ok(Self::Trap),
                    "DivisionByZero" => Ok(Self::DivisionByZero),
                    $(stringify!($variant) => {
                        let mut object: Map<String, Value> = serde_json::from_value(value).map_err(Error::custom)?;
                        Ok(Self::$variant { $($field: take(&mut object, stringify!($field))?),* })
                    })*
                    _ => Err(Error::custom(format!("unknown fault: {name}"))),
                }
            }
        }
    };
}

read_fault_kind! {
    DivergentBarrier { barrier, arrived, expected }
    UnsatisfiedMask { mask, arrived }
    ShuffleSource { lane, source }
    CopiesPending { groups }
    TooLong { instructions }
    Launch { code, message }
}

impl Serialize for Approximation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Nearest => "Nearest",
            Self::PlusError => "PlusError",
            Self::MinusError => "MinusError",
        })
    }
}

impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            seed,
            one_lane,
            threads,
            approximation,
            check_initialised,
            check_shared_races,
            check_global_races,
            strict_float,
            quantum,
            instruction_limit,
        } = self;
        serde_json::json!({
            "seed": seed,
            "one_lane": one_lane,
            "threads": threads,
            "approximation": approximation,
            "check_initialised": check_initialised,
            "check_shared_races": check_shared_races,
            "check_global_races": check_global_races,
            "strict_float": strict_float,
            "quantum": quantum,
            "instruction_limit": instruction_limit,
        })
        .serialize(serializer)
    }
}
