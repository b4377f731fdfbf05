use super::SharedTraffic;
use crate::memory::WarpAccess;

const BANKS: usize = 32;

/// Adds an access to shared memory to the counts. `conflict_free`: the lanes are adjacent, or all in one place.
///
/// Lanes of up to 4 bytes go in one group, lanes of 8 bytes in two of 16, of 16 bytes in four of 8, of 32 in eight of 4. A
/// group with an active lane takes as many wavefronts as the fullest bank has distinct words of it.
pub(crate) fn shared_traffic(access: &WarpAccess<'_>, conflict_free: bool, traffic: &mut SharedTraffic) {
    let words = access.bytes.div_ceil(4) as usize;
    let lanes = BANKS / words;
    traffic.requests += 1;
    if conflict_free {
        let groups = if access.mask == !0 { words as u64 } else { groups(access.mask, lanes) };
        traffic.wavefronts += groups;
        traffic.ideal_wavefronts += groups;
        return;
    }
    for group in (0..32).step_by(lanes) {
        let active = access.mask >> group & (u32::MAX >> (32 - lanes));
        if active != 0 {
            let addresses = &access.addresses[group..group + lanes];
            traffic.wavefronts += match words {
                1 => group_wavefronts::<1>(addresses, active),
                2 => group_wavefronts::<2>(addresses, active),
                4 => group_wavefronts::<4>(addresses, active),
                _ => group_wavefronts::<8>(addresses, active),
            };
            traffic.ideal_wavefronts += 1;
        }
    }
}

/// Distinct words in the fullest bank, of active lanes with `WORDS` words each.
fn group_wavefronts<const WORDS: u64>(addresses: &[u64], active: u32) -> u64 {
    // The first word of each bank, plus 1; the others.
    let mut first = [0; BANKS];
    let (mut others, mut number) = ([0; BANKS], 0);
    let mut previous = u64::MAX;
    for (lane, &address) in addresses.iter().enumerate() {
        if active >> lane & 1 == 0 || address == previous {
            continue;
        }
        previous = address;
        for word in (0..WORDS).map(|word| address / 4 + word + 1) {
            let held = &mut first[word as usize % BANKS];
            if *held == 0 {
                *held = word;
            } else if *held != word && !others[..number].contains(&word) {
                others[number] = word;
                number += 1;
            }
        }
    }
    let mut fullest = [1; BANKS];
    others[..number].iter().for_each(|word| fullest[*word as usize % BANKS] += 1);
    if number == 0 { 1 } else { fullest.into_iter().max().unwrap_or(1) }
}

/// Groups with an active lane.
fn groups(mask: u32, lanes: usize) -> u64 {
    (0..32).step_by(lanes).filter(|group| mask >> group & (u32::MAX >> (32 - lanes)) != 0).count() as u64
}
