//! Reads what `ip -s xfrm state` prints.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::plain_spi;

/// The packets that each state has counted, by its SPI.
pub fn packets(listing: &str) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    let mut spi = None;
    // Limits are shown before what was used of them.
    let mut used = false;
    for line in listing.lines() {
        let words: Vec<&str> = line.split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
        if let Some([_, number, ..]) = words.windows(2).find(|pair| pair[0] == "spi") {
            spi = number.split('(').next().map(plain_spi);
            used = false;
        } else if line.contains("lifetime current") {
            used = true;
        } else if let Some(count) = words.iter().find_map(|word| word.strip_suffix("(packets)")).filter(|_| used) {
            let spi = spi.take().with_context(|| format!("a count without an SPI: {line}"))?;
            all.insert(spi, count.parse()?);
            used = false;
        }
    }
    Ok(all)
}
