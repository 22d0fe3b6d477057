//! The lines that `table.rs` reads, made from keys in use.

use std::fmt::Write;

use ravelin_types::proposal::{EspSuite, IkeSuite, Suite};
use ravelin_types::sa::SaParams;
use ravelin_types::{IkeSpi, Secret};

use super::names::{self, Written};
use super::{ESP_TABLE, IKEV1_TABLE, IKEV2_TABLE, OTHER_TABLE};

/// One line, and the file that it belongs to.
#[derive(Clone, Debug)]
pub struct TableLine {
    /// Name of the file: that of one of Wireshark's tables, or `other_keys` where Wireshark has no name for an algorithm.
    pub table: &'static str,
    /// The line, without its end, as text.
    pub text: Secret,
}

impl TableLine {
    fn new(table: &'static str, text: String) -> Self {
        TableLine { table, text: Secret::new(text.into_bytes()) }
    }
}

/// A line of `ikev1_decryption_table`: the initiator's cookie, and the key of the cipher.
pub fn ikev1(cookie: IkeSpi, key: &Secret) -> TableLine {
    TableLine::new(IKEV1_TABLE, format!("{:016x},{}", cookie.0, hex(key)))
}

/// A line of `ikev2_decryption_table`: SK_ei and SK_er, SK_ai and SK_ar. `None`: an algorithm without a name.
pub fn ikev2(spis: (IkeSpi, IkeSpi), suite: &IkeSuite, encr: [&Secret; 2], integ: [&Secret; 2]) -> Option<TableLine> {
    let cipher = names::ike_cipher(suite.encr, suite.encr_key_bits)?;
    let mac = names::ike_mac(suite.integ)?;
    let text = format!(
        "{:016x},{:016x},{},{},\"{}\",{},{},\"{}\"",
        spis.0.0,
        spis.1.0,
        hex(encr[0]),
        hex(encr[1]),
        cipher.name,
        hex(integ[0]),
        hex(integ[1]),
        mac.name
    );
    Some(TableLine::new(table(IKEV2_TABLE, &cipher, &mac), text))
}

/// A line of `esp_sa`. The SPI alone names the SA: the capture may be taken behind a NAT, and an end may move. `None`: no ESP,
/// or an algorithm without a name.
pub fn esp(params: &SaParams) -> Option<TableLine> {
    let (Suite::Esp(suite) | Suite::AhEsp { esp: suite, .. }) = &params.suite else { return None };
    let EspSuite { encr, integ, .. } = suite;
    let (cipher, mac) = (names::esp_cipher(*encr)?, names::esp_mac(*integ)?);
    let family = if params.src.is_ipv4() { "IPv4" } else { "IPv6" };
    let key = |key: &Secret| if key.is_empty() { String::new() } else { format!("0x{}", hex(key)) };
    let (encr_key, integ_key) = (key(&params.keys.encr), key(&params.keys.integ));
    let (cipher_name, mac_name, spi) = (&cipher.name, &mac.name, params.spi.0);
    let text = format!(
        "\"{family}\",\"*\",\"*\",\"{spi:#010x}\",\"{cipher_name}\",\"{encr_key}\",\"{mac_name}\",\"{integ_key}\""
    );
    Some(TableLine::new(table(ESP_TABLE, &cipher, &mac), text))
}

fn table(own: &'static str, cipher: &Written, mac: &Written) -> &'static str {
    if cipher.known && mac.known { own } else { OTHER_TABLE }
}

fn hex(key: &Secret) -> String {
    key.expose().iter().fold(String::with_capacity(2 * key.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId};

    use super::*;
    use crate::keys::cipher::provider;
    use crate::keys::{Keys, TABLES};

    fn suite(encr: EncrId, encr_key_bits: u16, integ: IntegId) -> IkeSuite {
        IkeSuite { encr, encr_key_bits, integ, prf: PrfId::HMAC_SHA2_256, ke: KeMethod::CURVE25519 }
    }

    fn text(line: &TableLine) -> &str {
        std::str::from_utf8(line.text.expose()).unwrap()
    }

    // The form that tshark reads is proved in the lab; here, that what is written is read again for every algorithm.
    #[test]
    fn whatever_is_written_is_read_again() {
        let (spis, ip) = ((IkeSpi(0x0102), IkeSpi(0x0304)), IpAddr::from([192, 0, 2, 1]));
        let mut written = 0;
        for encr in provider().encr {
            for bits in encr.key_bits() {
                let key = Secret::new(vec![7; usize::from(bits / 8) + encr.salt_len()]);
                let integ = if encr.is_aead() { IntegId::NONE } else { IntegId::HMAC_SHA2_384_192 };
                let mac_key = Secret::new(vec![8; if encr.is_aead() { 0 } else { 48 }]);
                let name = names::esp_cipher(encr.id());
                let Some(line) = ikev2(spis, &suite(encr.id(), *bits, integ), [&key; 2], [&mac_key; 2]) else {
                    assert!(name.is_none() || encr.id() == EncrId::NULL, "{}", encr.id());
                    continue;
                };
                let mut keys = Keys::default();
                keys.add(text(&line)).unwrap_or_else(|bad| panic!("{}: {bad}", text(&line)));
                assert!(keys.ikev2(spis, true, &[], &[]).is_some() && TABLES.contains(&line.table));
                let names = (name.unwrap().name, names::esp_mac(integ).unwrap().name);
                let hex = |key: &Secret| hex(key);
                keys.add(&format!("IPv4,*,*,0x7,\"{}\",{},\"{}\",{}", names.0, hex(&key), names.1, hex(&mac_key)))
                    .unwrap();
                let esp = keys.esp(7, ip, ip).unwrap();
                assert_eq!((esp.iv_len(), esp.icv_len() > 0), (encr.iv_len(), true), "{}", encr.id());
                written += 1;
            }
        }
        assert!(written > 15, "{written}");
    }

    #[test]
    fn what_wireshark_has_no_name_for_stands_apart() {
        let key = Secret::new(vec![1; 16]);
        let of =
            |encr, integ| ikev2((IkeSpi(1), IkeSpi(2)), &suite(encr, 128, integ), [&key; 2], [&key; 2]).unwrap().table;
        assert_eq!(of(EncrId::AES_CBC, IntegId::HMAC_SHA1_96), IKEV2_TABLE);
        assert_eq!(of(EncrId::AES_CBC, IntegId::AES_CMAC_96), OTHER_TABLE);
        assert_eq!(of(EncrId::CAMELLIA_CBC, IntegId::HMAC_SHA1_96), OTHER_TABLE);
    }
}
