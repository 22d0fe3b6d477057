//! Keys that open what a capture holds, as files give them.
//!
//! Read are the tables that Wireshark keeps, a line each, told apart by their shape: `ikev1_decryption_table`,
//! `ikev2_decryption_table` and `esp_sa`. Other daemons write them too, and so does ours when asked to ([`written`]).

mod cipher;
mod names;
mod table;
pub mod written;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ravelin_types::{IkeSpi, Secret};

pub(crate) use cipher::provider;
pub use cipher::{EspKeys, IkeKeys};
pub use table::BadLine;

/// The names that Wireshark has for the files of its tables.
pub const IKEV1_TABLE: &str = "ikev1_decryption_table";
/// Of IKEv2.
pub const IKEV2_TABLE: &str = "ikev2_decryption_table";
/// Of ESP.
pub const ESP_TABLE: &str = "esp_sa";
/// Lines of the same forms with algorithms that Wireshark does not know: it reads none of a table in which one stands.
pub const OTHER_TABLE: &str = "other_keys";
/// All of them, as a directory of keys holds them.
pub const TABLES: [&str; 4] = [IKEV1_TABLE, IKEV2_TABLE, ESP_TABLE, OTHER_TABLE];
/// Keys that one pair of SPIs may have: those of IKE_INTERMEDIATE follow one another (RFC 9370 §2.2.2).
const MAX_PER_SA: usize = 8;
/// Lines of one file that are read.
const MAX_LINES: usize = 100_000;

/// All keys at hand.
#[derive(Default)]
pub struct Keys {
    ikev1: BTreeMap<IkeSpi, Secret>,
    ikev2: BTreeMap<(IkeSpi, IkeSpi), Vec<IkeKeys>>,
    esp: Vec<EspKeys>,
    psks: Vec<Secret>,
}

impl Keys {
    /// Adds the keys of a file's text.
    ///
    /// # Errors
    /// The first line that cannot be read, with what is wrong; no line of the text is taken then.
    pub fn add(&mut self, text: &str) -> Result<(), BadLine> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if number > MAX_LINES {
                return Err(BadLine { line: number, reason: format!("more than {MAX_LINES} lines") });
            }
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                lines.push(table::parse(line).map_err(|reason| BadLine { line: number, reason })?);
            }
        }
        for line in lines {
            match line {
                table::Line::Ikev1(spi, key) => drop(self.ikev1.insert(spi, key)),
                table::Line::Ikev2(spis, keys) => {
                    let all = self.ikev2.entry(spis).or_default();
                    if all.len() == MAX_PER_SA {
                        all.remove(0);
                    }
                    all.push(keys);
                }
                table::Line::Esp(keys) => self.esp.push(keys),
            }
        }
        Ok(())
    }

    /// Adds a pre-shared key. It opens nothing; hashes of IKEv1 are compared with what it gives.
    pub fn add_psk(&mut self, psk: Secret) {
        self.psks.push(psk);
    }

    /// The pre-shared keys.
    pub(crate) fn psks(&self) -> &[Secret] {
        &self.psks
    }

    /// Forgets the keys of an IKE SA.
    pub(crate) fn forget(&mut self, spis: (IkeSpi, IkeSpi)) {
        self.ikev1.remove(&spis.0);
        self.ikev2.remove(&spis);
    }

    /// The encryption key of the ISAKMP SA with this initiator cookie.
    pub(crate) fn ikev1(&self, cookie: IkeSpi) -> Option<&Secret> {
        self.ikev1.get(&cookie)
    }

    /// The keys of an IKE SA that open this body of an Encrypted payload behind `head`; where none does, the last given.
    pub(crate) fn ikev2(&self, spis: (IkeSpi, IkeSpi), initiator: bool, head: &[u8], body: &[u8]) -> Option<&IkeKeys> {
        let all = self.ikev2.get(&spis)?;
        all.iter().rev().find(|keys| all.len() > 1 && keys.opens(initiator, head, body)).or_else(|| all.last())
    }

    /// The keys of an ESP SA. The last given that fits wins.
    pub(crate) fn esp(&self, spi: u32, src: IpAddr, dst: IpAddr) -> Option<&EspKeys> {
        self.esp.iter().rev().find(|keys| keys.fits(spi, src, dst))
    }
}
