//! Reads what `ip -s xfrm state` prints.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::plain_spi;

/// The packets that outbound states have counted, by the processor that each is kept to; `None`: those of no processor.
pub fn by_processor(listing: &str) -> Result<BTreeMap<Option<u32>, u64>> {
    let mut sums = BTreeMap::new();
    // A state begins at the margin.
    let starts =
        listing.match_indices("src ").map(|(at, _)| at).filter(|at| *at == 0 || listing.as_bytes()[at - 1] == b'\n');
    let starts: Vec<usize> = starts.collect();
    for (at, start) in starts.iter().enumerate() {
        let state = &listing[*start..starts.get(at + 1).copied().unwrap_or(listing.len())];
        if !state.lines().any(|line| line.trim() == "dir out") {
            continue;
        }
        let processor = match state.split_once("pcpu-num ") {
            Some((_, rest)) => Some(rest.split_whitespace().next().unwrap_or_default().parse()?),
            None => None,
        };
        *sums.entry(processor).or_default() += packets(state)?.values().sum::<u64>();
    }
    Ok(sums)
}

/// What a state has counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Packets.
    pub packets: u64,
    /// Their octets, as this protocol got them.
    pub octets: u64,
}

/// The packets that each state has counted, by its SPI.
pub fn packets(listing: &str) -> Result<BTreeMap<String, u64>> {
    Ok(counted(listing, |_| true)?.into_iter().map(|(spi, used)| (spi, used.packets)).collect())
}

/// What each state of this protocol has counted, by its SPI.
pub fn used(listing: &str, protocol: &str) -> Result<BTreeMap<String, Used>> {
    counted(listing, |words| words.windows(2).any(|pair| pair == ["proto", protocol]))
}

fn counted(listing: &str, takes: impl Fn(&[&str]) -> bool) -> Result<BTreeMap<String, Used>> {
    let mut all = BTreeMap::new();
    let mut spi = None;
    // Limits are shown before what was used of them.
    let mut used = false;
    for line in listing.lines() {
        let words: Vec<&str> = line.split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
        let count = |unit: &str| words.iter().find_map(|word| word.strip_suffix(unit));
        if let Some([_, number, ..]) = words.windows(2).find(|pair| pair[0] == "spi") {
            spi = number.split('(').next().map(|spi| (plain_spi(spi), takes(&words)));
            used = false;
        } else if line.contains("lifetime current") {
            used = true;
        } else if let (Some(octets), Some(packets), true) = (count("(bytes)"), count("(packets)"), used) {
            let (spi, taken) = spi.take().with_context(|| format!("a count without an SPI: {line}"))?;
            if taken {
                all.insert(spi, Used { packets: packets.parse()?, octets: octets.parse()? });
            }
            used = false;
        }
    }
    Ok(all)
}
