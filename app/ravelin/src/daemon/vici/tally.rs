//! IKE messages by exchange, direction and connection: what `get-counters` tells.

use std::collections::BTreeMap;

use ravelin_control::Message;
use ravelin_ike::view::Counters;
use ravelin_wire::ike::header::{ExchangeType, Header};

/// Connections that are counted apart; further ones count in the sum alone.
const CONNECTIONS: usize = 10_000;

/// The exchanges, with their names in a listing.
const EXCHANGES: [(ExchangeType, &str); 4] = [
    (ExchangeType::IKE_SA_INIT, "ike-init"),
    (ExchangeType::IKE_AUTH, "ike-auth"),
    (ExchangeType::CREATE_CHILD_SA, "create-child"),
    (ExchangeType::INFORMATIONAL, "info"),
];

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Received.
    In,
    /// Sent.
    Out,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    rekeys_begun: u64,
    rekeys_answered: u64,
    child_rekeys: u64,
    /// By exchange: requests in, responses in, requests out, responses out.
    messages: [[u64; 4]; EXCHANGES.len()],
}

/// Everything counted since the start or the last reset.
#[derive(Debug, Default)]
pub struct Tally {
    all: Row,
    connections: BTreeMap<String, Row>,
    /// What the endpoint had counted at the last reset.
    since: Counters,
}

impl Tally {
    /// A message went by.
    pub fn message(&mut self, header: &Header, way: Way, connection: Option<&str>) {
        let Some(exchange) = EXCHANGES.iter().position(|(known, _)| *known == header.exchange) else { return };
        let place = usize::from(way == Way::Out) * 2 + usize::from(header.flags.is_response());
        self.count(connection, |row| row.messages[exchange][place] += 1);
    }

    /// An IKE SA was rekeyed, by us or by the peer.
    pub fn ike_rekeyed(&mut self, connection: &str, by_us: bool) {
        self.count(Some(connection), |row| match by_us {
            true => row.rekeys_begun += 1,
            false => row.rekeys_answered += 1,
        });
    }

    /// A Child SA was rekeyed.
    pub fn child_rekeyed(&mut self, connection: &str) {
        self.count(Some(connection), |row| row.child_rekeys += 1);
    }

    fn count(&mut self, connection: Option<&str>, count: impl Fn(&mut Row)) {
        count(&mut self.all);
        let Some(name) = connection else { return };
        if let Some(row) = self.connections.get_mut(name) {
            count(row);
        } else if self.connections.len() < CONNECTIONS {
            count(self.connections.entry(name.to_owned()).or_default());
        }
    }

    /// The rows that a client asks for: of one connection, of all, or the sum. `None`: no such connection.
    pub fn rows(&self, name: Option<&str>, all: bool, endpoint: &Counters) -> Option<Message> {
        let mut rows = Message::new();
        match (name, all) {
            (Some(name), _) => rows.put_section(name, self.connections.get(name)?.shown(0, 0)),
            (None, true) => {
                for (name, row) in &self.connections {
                    rows.put_section(name, row.shown(0, 0));
                }
            }
            (None, false) => {
                let invalid = |counters: &Counters| counters.malformed + counters.forged;
                let bad = invalid(endpoint) - invalid(&self.since);
                rows.put_section("", self.all.shown(bad, endpoint.unknown_spi - self.since.unknown_spi));
            }
        }
        Some(rows)
    }

    /// What was counted for one connection.
    pub fn of(&self, name: &str) -> Message {
        self.connections.get(name).copied().unwrap_or_default().counted()
    }

    /// Begins anew, for one connection, all of them, or the sum. `false`: no such connection.
    pub fn reset(&mut self, name: Option<&str>, all: bool, endpoint: &Counters) -> bool {
        match (name, all) {
            (Some(name), _) => return self.connections.remove(name).is_some(),
            (None, true) => self.connections.clear(),
            (None, false) => {
                self.all = Row::default();
                self.since = *endpoint;
            }
        }
        true
    }
}

impl Row {
    fn shown(&self, invalid: u64, invalid_spi: u64) -> Message {
        self.counted().with("invalid", invalid).with("invalid-spi", invalid_spi)
    }

    fn counted(&self) -> Message {
        let mut row = Message::new()
            .with("ike-rekey-init", self.rekeys_begun)
            .with("ike-rekey-resp", self.rekeys_answered)
            .with("child-rekey", self.child_rekeys);
        for ((_, name), counts) in EXCHANGES.iter().zip(&self.messages) {
            for (suffix, count) in ["in-req", "in-resp", "out-req", "out-resp"].iter().zip(counts) {
                row.put(&format!("{name}-{suffix}"), count);
            }
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_types::IkeSpi;
    use ravelin_wire::ike::header::{Flags, Version};

    fn header(exchange: ExchangeType, flags: Flags) -> Header {
        Header {
            initiator_spi: IkeSpi(1),
            responder_spi: IkeSpi(2),
            version: Version::V2,
            exchange,
            flags,
            message_id: 0,
        }
    }

    #[test]
    fn messages_count_for_their_connection_and_for_all() {
        let mut tally = Tally::default();
        tally.message(&header(ExchangeType::IKE_SA_INIT, Flags::INITIATOR), Way::Out, Some("t"));
        tally.message(&header(ExchangeType::IKE_SA_INIT, Flags::RESPONSE), Way::In, Some("t"));
        tally.message(&header(ExchangeType::INFORMATIONAL, Flags::NONE), Way::In, None);
        tally.ike_rekeyed("t", false);
        let counters = Counters { unknown_spi: 3, ..Counters::default() };
        let sum = tally.rows(None, false, &counters).unwrap();
        let sum = sum.section("").unwrap();
        for (name, count) in
            [("ike-init-out-req", "1"), ("ike-init-in-resp", "1"), ("info-in-req", "1"), ("invalid-spi", "3")]
        {
            assert_eq!(sum.text(name), Some(count), "{name}");
        }
        let own = tally.rows(Some("t"), false, &counters).unwrap();
        assert_eq!(own.section("t").unwrap().text("info-in-req"), Some("0"));
        assert_eq!(own.section("t").unwrap().text("ike-rekey-resp"), Some("1"));
        assert!(tally.rows(Some("u"), false, &counters).is_none());
        assert!(tally.reset(None, false, &counters) && !tally.reset(Some("u"), false, &counters));
        let sum = tally.rows(None, false, &counters).unwrap();
        assert_eq!(sum.section("").unwrap().text("invalid-spi"), Some("0"));
        assert!(tally.reset(None, true, &counters));
        assert!(tally.rows(Some("t"), false, &counters).is_none());
    }
}
