//! Random accesses against a model that goes byte by byte and remembers everything.

use std::collections::HashSet;

use super::*;

/// A small generator: the same numbers every time.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }

    /// Addresses of a warp within `size` bytes, now and then beside them: adjacent, strided, equal or scattered.
    pub fn lanes(&mut self, size: u64, wild: bool) -> Lanes {
        let bytes = 1 << self.below(6);
        let width = u64::from(bytes);
        let start = self.below(size / width) * width;
        let stride = self.below(4);
        let pattern = self.below(5);
        let mut lanes = Lanes::at(bytes, |lane| match pattern {
            0 | 1 => start + lane * width,
            2 => start + lane * width * stride,
            3 => start + lane % 8 * width + lane / 8 * 128,
            _ => self.below(size / width) * width,
        });
        if !wild || self.below(8) != 0 {
            lanes.addresses.iter_mut().for_each(|address| *address %= size / width * width);
        }
        if wild && self.below(16) == 0 {
            lanes.addresses[self.below(32) as usize] += self.below(width);
        }
        lanes.mask = match self.below(4) {
            0 | 1 => !0,
            2 => !0 >> self.below(31),
            _ => (self.below(1 << 31) | self.below(2) << 31) as u32,
        };
        lanes
    }
}

/// Bytes that are written or not.
struct Bytes {
    values: Vec<u8>,
    written: Vec<bool>,
}

impl Bytes {
    fn new(size: usize) -> Self {
        Self { values: vec![0xCD; size], written: vec![false; size] }
    }

    /// The first lane that is refused, and why.
    fn refuse(&self, lanes: &Lanes, reads: bool) -> Option<(u32, AccessErrorKind)> {
        (0..32u32).filter(|lane| lanes.mask >> lane & 1 != 0).find_map(|lane| {
            let (address, bytes) = (lanes.addresses[lane as usize] as usize, lanes.bytes as usize);
            let kind = if !address.is_multiple_of(bytes) {
                AccessErrorKind::Misaligned
            } else if address + bytes > self.values.len() {
                AccessErrorKind::OutOfBounds
            } else if reads && !self.written[address..address + bytes].iter().all(|written| *written) {
                AccessErrorKind::Uninitialised
            } else {
                return None;
            };
            Some((lane, kind))
        })
    }

    fn load(&self, lanes: &Lanes, into: &mut LaneBytes) {
        let width = lanes.bytes as usize;
        for lane in (0..32).filter(|lane| lanes.mask >> lane & 1 != 0) {
            let at = lanes.addresses[lane] as usize;
            into[lane * width..][..width].copy_from_slice(&self.values[at..at + width]);
        }
    }

    fn store(&mut self, lanes: &Lanes, from: &LaneBytes) {
        let width = lanes.bytes as usize;
        for lane in (0..32).filter(|lane| lanes.mask >> lane & 1 != 0) {
            let at = lanes.addresses[lane] as usize;
            self.values[at..at + width].copy_from_slice(&from[lane * width..][..width]);
            self.written[at..at + width].fill(true);
        }
    }
}

/// A memory that does accesses one after another.
trait Memory {
    fn load(&mut self, access: &WarpAccess<'_>, bytes: &mut LaneBytes, count: &mut Counters)
    -> Result<(), AccessError>;
    fn store(&mut self, access: &WarpAccess<'_>, bytes: &LaneBytes, count: &mut Counters) -> Result<(), AccessError>;
    fn bytes(&mut self) -> Vec<u8>;
}

struct Global<'m>(&'m DeviceMemory, GlobalAccess<'m>, u64, usize);

impl Memory for Global<'_> {
    fn load(
        &mut self,
        access: &WarpAccess<'_>,
        bytes: &mut LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.1.load(access, bytes, count)
    }
    fn store(&mut self, access: &WarpAccess<'_>, bytes: &LaneBytes, count: &mut Counters) -> Result<(), AccessError> {
        self.1.store(access, bytes, count)
    }
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.3];
        self.0.read(self.2, &mut bytes).unwrap();
        bytes
    }
}

impl Memory for SharedMemory {
    fn load(
        &mut self,
        access: &WarpAccess<'_>,
        bytes: &mut LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.block_barrier();
        SharedMemory::load(self, access, bytes, count)
    }
    fn store(&mut self, access: &WarpAccess<'_>, bytes: &LaneBytes, count: &mut Counters) -> Result<(), AccessError> {
        self.block_barrier();
        SharedMemory::store(self, access, bytes, count)
    }
    fn bytes(&mut self) -> Vec<u8> {
        SharedMemory::bytes(self).to_vec()
    }
}

/// Random accesses to a memory whose addresses begin at `base`.
fn same_as_the_model(memory: &mut dyn Memory, base: u64, size: u64, one_value: bool, random: &mut Random) {
    let mut model = Bytes::new(size as usize);
    for _ in 0..4000 {
        let wild = random.below(50) == 0;
        let lanes = random.lanes(size, wild);
        let at = Lanes { addresses: lanes.addresses.map(|address| base + address), ..lanes };
        let lanes = Lanes { place: at.place.clone(), ..lanes };
        let fill = if one_value { 0 } else { random.below(256) };
        let data: LaneBytes = std::array::from_fn(|index| (index as u64 * fill) as u8);
        let (mut bytes, mut expected) = (data, data);
        let mut counters = Counters::default();
        let reads = random.below(2) == 0;
        let result = if reads {
            memory.load(&at.access(), &mut bytes, &mut counters)
        } else {
            memory.store(&at.access(), &data, &mut counters)
        };
        if let Some((lane, kind)) = model.refuse(&lanes, reads) {
            let error = result.unwrap_err();
            assert_eq!((error.lane, error.kind), (Some(lane), kind));
            assert_eq!(error.address, at.addresses[lane as usize]);
            if reads {
                continue;
            }
            // Lanes before the one that is refused may have written, and no other byte has changed.
            let touched: HashSet<u64> = bytes_of(&lanes).collect();
            let now = memory.bytes();
            return assert!((0..size).all(|at| now[at as usize] == model.values[at as usize] || touched.contains(&at)));
        }
        result.unwrap();
        if reads {
            model.load(&lanes, &mut expected);
            assert!(bytes == expected);
        } else {
            model.store(&lanes, &data);
        }
        let traffic = if reads { counters.global_read } else { counters.global_written };
        if counters.shared.requests == 0 && lanes.mask != 0 {
            assert_eq!((traffic.sectors, traffic.ideal_sectors), sectors(&at));
            assert_eq!(traffic.bytes, u64::from(lanes.mask.count_ones() * lanes.bytes));
        } else {
            assert_eq!((counters.shared.wavefronts, counters.shared.ideal_wavefronts), wavefronts(&at));
        }
    }
    assert!(memory.bytes() == model.values);
}

fn bytes_of(lanes: &Lanes) -> impl Iterator<Item = u64> + '_ {
    let active = (0..32).filter(|lane| lanes.mask >> lane & 1 != 0);
    active.flat_map(|lane| lanes.addresses[lane]..lanes.addresses[lane] + u64::from(lanes.bytes))
}

fn sectors(lanes: &Lanes) -> (u64, u64) {
    let bytes: HashSet<u64> = bytes_of(lanes).collect();
    let sectors: HashSet<u64> = bytes.iter().map(|byte| byte / 32).collect();
    (sectors.len() as u64, bytes.len().div_ceil(32) as u64)
}

fn wavefronts(lanes: &Lanes) -> (u64, u64) {
    let group = 32 / lanes.bytes.div_ceil(4);
    let (mut wavefronts, mut ideal) = (0, 0);
    for first in (0..32).step_by(group as usize) {
        let mask = lanes.mask & (u32::MAX >> (32 - group)) << first;
        let part = Lanes { mask, place: lanes.place.clone(), ..*lanes };
        let words: HashSet<u64> = bytes_of(&part).map(|byte| byte / 4).collect();
        wavefronts += (0..32).map(|bank| words.iter().filter(|word| *word % 32 == bank).count()).max().unwrap() as u64;
        ideal += u64::from(mask != 0);
    }
    (wavefronts, ideal)
}

#[test]
fn accesses_do_what_lanes_would_do_one_by_one() {
    let mut random = Random(1);
    for _ in 0..15 {
        let memory = device();
        let size = 500 + random.below(9000);
        let base = memory.allocate(size).unwrap();
        let global = GlobalAccess::new(&memory, true, true);
        let mut global = Global(&memory, global, base, size as usize);
        same_as_the_model(&mut global, base, size, false, &mut random);
        let mut shared = SharedMemory::new(size as u32, true, true);
        same_as_the_model(&mut shared, 0, size, true, &mut random);
    }
}

/// An access of the past.
#[derive(Clone, Copy)]
struct Past {
    block: u32,
    thread: u32,
    line: u32,
    wrote: bool,
    atomic: bool,
    /// When: the number of the access.
    clock: u32,
}

#[test]
fn global_races_are_those_of_the_model() {
    let mut random = Random(2);
    let (mut found, mut missed) = (0, 0);
    let memory = device();
    let base = filled(&memory, 2048);
    for _ in 0..4000 {
        let global = GlobalAccess::new(&memory, true, true);
        let mut past: Vec<Vec<Past>> = vec![Vec::new(); 2048];
        for line in 1.. {
            let lanes = random.lanes(2048, false);
            let (block, warp) = (random.below(4) as u32, random.below(4) as u32);
            let action = random.below(8);
            let atomic = action == 0 && lanes.bytes <= 8;
            let wrote = action < 3;
            let at = Lanes { addresses: lanes.addresses.map(|address| base + address), ..lanes };
            let at = at.by(block, warp, line);
            let result = match (atomic, wrote) {
                (true, _) => {
                    global.reduce(&at.access(), &mut |_, old| Some((old + 1) & 0xff), &mut Counters::default())
                }
                (_, true) => at.store(&global),
                _ => at.load(&global).map(|_| ()),
            };
            let clashes = |byte: u64| {
                past[(byte - base) as usize]
                    .iter()
                    .filter(move |old| old.block != block && (old.wrote || wrote) && !(old.atomic && atomic))
            };
            let races = bytes_of(&at).any(|byte| clashes(byte).next().is_some());
            if let Err(error) = result {
                assert!(races, "a race where there is none: {error}");
                let other = error.other.unwrap();
                let lane = error.lane.unwrap() as usize;
                let touched = at.addresses[lane]..at.addresses[lane] + u64::from(at.bytes);
                assert!(
                    touched
                        .into_iter()
                        .flat_map(clashes)
                        .any(|old| { (old.block, old.line, old.wrote) == (other.block[0], other.line, other.wrote) })
                );
                found += 1;
                break;
            }
            missed += u32::from(races);
            if races {
                break;
            }
            for lane in (0..32).filter(|lane| at.mask >> lane & 1 != 0) {
                for byte in at.addresses[lane]..at.addresses[lane] + u64::from(at.bytes) {
                    let thread = warp * 32 + lane as u32;
                    past[(byte - base) as usize].push(Past { block, thread, line, wrote, atomic, clock: 0 });
                }
            }
        }
    }
    assert!(found > 3000 && missed * 50 < found, "{found} found, {missed} missed");
}

#[test]
fn shared_races_are_those_of_the_model() {
    let mut random = Random(3);
    let (mut found, mut missed) = (0, 0);
    for _ in 0..4000 {
        let mut shared = SharedMemory::new(1024, false, true);
        let mut past: Vec<Vec<Past>> = vec![Vec::new(); 1024];
        // Of each warp, up to when it knows of each warp's accesses.
        let mut known = [[0u32; 4]; 4];
        for line in 1.. {
            let warp = random.below(4) as usize;
            match random.below(12) {
                0..2 => {
                    shared.block_barrier();
                    known = [[line; 4]; 4];
                    continue;
                }
                2..5 => {
                    shared.warp_barrier(warp as u32);
                    known[warp][warp] = line;
                    continue;
                }
                5 => {
                    let other = (warp + 1 + random.below(3) as usize) % 4;
                    shared.partial_barrier(&[warp as u32, other as u32]);
                    let mut joined: [u32; 4] = std::array::from_fn(|of| known[warp][of].max(known[other][of]));
                    (joined[warp], joined[other]) = (line, line);
                    (known[warp], known[other]) = (joined, joined);
                    continue;
                }
                _ => {}
            }
            let mut at = random.lanes(1024, false).by(0, warp as u32, line);
            at.mask = if random.below(2) == 0 { at.mask } else { 1 << random.below(32) };
            let action = random.below(6);
            let atomic = action == 0 && at.bytes <= 8;
            let wrote = action < 2;
            let result = match (atomic, wrote) {
                (true, _) => at.add_shared(&mut shared).map(|_| ()),
                (_, true) => at.store_shared(&mut shared),
                _ => at.load_shared(&mut shared).map(|_| ()),
            };
            let mut races = false;
            let mut threads = HashSet::new();
            for lane in (0..32).filter(|lane| at.mask >> lane & 1 != 0) {
                let thread = warp as u32 * 32 + lane as u32;
                for byte in at.addresses[lane]..at.addresses[lane] + u64::from(at.bytes) {
                    for old in &past[byte as usize] {
                        let ordered = old.clock < known[warp][old.thread as usize / 32];
                        let clash = !ordered && old.thread != thread && (old.wrote || wrote) && !(old.atomic && atomic);
                        races |= clash;
                        if clash {
                            threads.insert((old.thread, old.line, old.wrote));
                        }
                    }
                    past[byte as usize].push(Past { block: 0, thread, line, wrote, atomic, clock: line });
                }
            }
            if let Err(error) = result {
                let other = error.other.unwrap();
                assert!(races && threads.contains(&(other.thread, other.line, other.wrote)), "{other}");
                found += 1;
                break;
            }
            missed += u32::from(races);
            if races {
                break;
            }
        }
    }
    assert!(found > 3000 && missed * 20 < found, "{found} found, {missed} missed");
}
