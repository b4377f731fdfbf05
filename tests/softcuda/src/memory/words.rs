//! Bytes in slices of atomic words, and ranges of bits.
//!
//! Device memory is words of four bytes, read and written by relaxed atomics, so that a racy kernel is no undefined
//! behaviour here. No access mixes widths: eight bytes are two words.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Reads bytes from a byte offset on.
#[inline]
pub(super) fn read(words: &[AtomicU32], offset: usize, bytes: &mut [u8]) {
    if bytes.len() == 4 && offset.is_multiple_of(4) {
        bytes.copy_from_slice(&words[offset / 4].load(Relaxed).to_le_bytes());
    } else if offset.is_multiple_of(4) && bytes.len().is_multiple_of(4) {
        let words = &words[offset / 4..][..bytes.len() / 4];
        let (pairs, odd) = words.as_chunks::<2>();
        let (eights, rest) = bytes.split_at_mut(pairs.len() * 8);
        for (eight, [low, high]) in eights.as_chunks_mut::<8>().0.iter_mut().zip(pairs) {
            *eight = (u64::from(low.load(Relaxed)) | u64::from(high.load(Relaxed)) << 32).to_le_bytes();
        }
        if let [word] = odd {
            rest.copy_from_slice(&word.load(Relaxed).to_le_bytes());
        }
    } else {
        read_unaligned(words, offset, bytes);
    }
}

fn read_unaligned(words: &[AtomicU32], mut offset: usize, mut bytes: &mut [u8]) {
    while !bytes.is_empty() {
        let within = offset % 4;
        let part = bytes.len().min(4 - within);
        let (now, later) = bytes.split_at_mut(part);
        now.copy_from_slice(&words[offset / 4].load(Relaxed).to_le_bytes()[within..within + part]);
        offset += part;
        bytes = later;
    }
}

/// Writes bytes from a byte offset on; bytes beside them in the same word stay what other threads make them.
#[inline]
pub(super) fn write(words: &[AtomicU32], offset: usize, bytes: &[u8]) {
    if let ([four], []) = bytes.as_chunks::<4>()
        && offset.is_multiple_of(4)
    {
        words[offset / 4].store(u32::from_le_bytes(*four), Relaxed);
    } else if offset.is_multiple_of(4) && bytes.len().is_multiple_of(4) {
        let words = &words[offset / 4..][..bytes.len() / 4];
        for (word, four) in words.iter().zip(bytes.as_chunks::<4>().0) {
            word.store(u32::from_le_bytes(*four), Relaxed);
        }
    } else {
        write_unaligned(words, offset, bytes);
    }
}

fn write_unaligned(words: &[AtomicU32], mut offset: usize, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let within = offset % 4;
        let part = bytes.len().min(4 - within);
        let (now, later) = bytes.split_at(part);
        let word = &words[offset / 4];
        if part == 4 {
            word.store(u32::from_le_bytes([now[0], now[1], now[2], now[3]]), Relaxed);
        } else {
            let mut old = word.load(Relaxed);
            loop {
                let mut new = old.to_le_bytes();
                new[within..within + part].copy_from_slice(now);
                match word.compare_exchange_weak(old, u32::from_le_bytes(new), Relaxed, Relaxed) {
                    Ok(_) => break,
                    Err(seen) => old = seen,
                }
            }
        }
        offset += part;
        bytes = later;
    }
}

/// Bits `start` to `end` of the word that holds bit `start`, as a mask, and the first bit of the next word.
#[inline]
fn piece(start: usize, end: usize) -> (u64, usize) {
    let next = (start / 64 + 1) * 64;
    let high = if end >= next { !0 } else { (1 << (end % 64)) - 1 };
    (high & !0 << (start % 64), next)
}

/// The first bit of a range that is 0.
#[inline]
pub(super) fn first_zero(bits: &[AtomicU64], start: usize, end: usize) -> Option<usize> {
    let mut at = start;
    while at < end {
        let (mask, next) = piece(at, end);
        let zeros = !bits[at / 64].load(Relaxed) & mask;
        if zeros != 0 {
            return Some(at / 64 * 64 + zeros.trailing_zeros() as usize);
        }
        at = next;
    }
    None
}

/// Makes every bit of a range 1.
#[inline]
pub(super) fn set(bits: &[AtomicU64], start: usize, end: usize) {
    let mut at = start;
    while at < end {
        let (mask, next) = piece(at, end);
        let word = &bits[at / 64];
        if word.load(Relaxed) & mask != mask {
            if mask == !0 {
                word.store(!0, Relaxed);
            } else {
                word.fetch_or(mask, Relaxed);
            }
        }
        at = next;
    }
}

/// Makes every bit of a range 0.
pub(super) fn clear(bits: &[AtomicU64], start: usize, end: usize) {
    let mut at = start;
    while at < end {
        let (mask, next) = piece(at, end);
        let word = &bits[at / 64];
        if word.load(Relaxed) & mask != 0 {
            word.fetch_and(!mask, Relaxed);
        }
        at = next;
    }
}

/// Fills a range of bytes with a word, repeated from each multiple of four on.
pub(super) fn fill(words: &[AtomicU32], start: usize, end: usize, word: [u8; 4]) {
    let (first, last) = (start.next_multiple_of(4), end / 4 * 4);
    if first > last {
        return write(words, start, &word[start % 4..][..end - start]);
    }
    write(words, start, &word[4 - (first - start)..]);
    for four in &words[first / 4..last / 4] {
        four.store(u32::from_le_bytes(word), Relaxed);
    }
    write(words, last, &word[..end - last]);
}
