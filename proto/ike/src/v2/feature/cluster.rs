//! A peer that is a cluster: a member that takes over says by which message IDs the two go on, and how many packets it may have
//! missed (RFC 6311).
//!
//! ```text
//!   HDR(0), SK {N(IKEV2_MESSAGE_ID_SYNC, nonce, M1, P1), [N(IPSEC_REPLAY_COUNTER_SYNC, count)]}  -->
//!                                 <--  HDR(0), SK {N(IKEV2_MESSAGE_ID_SYNC, nonce, P2, M2)}
//!   HDR, SK {N(IPSEC_REPLAY_COUNTER_SYNC, count)}  -->
//!                                 <--  HDR, SK {}
//! ```
//! Each sender writes first what it will use next and then what it expects. The numbers of our packets are `count` higher from then
//! on, so that it takes none for a replay. We are on the side of the peer alone, as there is no cluster of ours.
//! Read RFC 6311 §5, §6 and §9 before changing this file.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_wire::ike::header::{ExchangeType, Header, PayloadType};
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload, parse_chain};

use crate::config::Remote;
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::{Ends, IkeSa};
use crate::input::Datagram;
use crate::live::Live;
use crate::v2::exchange::{self, After, Close, Exchange, Task, What};
use crate::v2::message::Payloads;
use crate::v2::phase::established::Established;

/// What a cluster brings into line with its peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cluster {
    message_ids: bool,
    packets: bool,
}

impl Cluster {
    /// What we can do, where the remote may be a cluster.
    pub(crate) fn of(remote: &Remote) -> Self {
        let may = remote.extensions.cluster;
        Cluster { message_ids: may, packets: may }
    }

    /// What both sides have said.
    pub(crate) fn agreed(remote: &Remote, payloads: &Payloads) -> Self {
        let ours = Self::of(remote);
        Cluster {
            message_ids: ours.message_ids && payloads.notify(NotifyType::IKEV2_MESSAGE_ID_SYNC_SUPPORTED).is_some(),
            packets: ours.packets && payloads.notify(NotifyType::IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED).is_some(),
        }
    }

    /// The notifies that say it (RFC 6311 §6.1 and §6.2).
    pub(crate) fn said(self) -> impl Iterator<Item = Payload> {
        let said = [
            (self.message_ids, NotifyType::IKEV2_MESSAGE_ID_SYNC_SUPPORTED),
            (self.packets, NotifyType::IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED),
        ];
        said.into_iter().filter(|(can, _)| *can).map(|(_, kind)| Payload::Notify(Notify::new(kind, Vec::new())))
    }

    /// A request by which a member takes over.
    pub(crate) fn takeover(self, header: &Header, first: PayloadType, content: &[u8]) -> Option<Takeover> {
        if self.message_ids { Takeover::parse(header, first, content) } else { None }
    }
}

/// How many numbers a peer wants to be skipped, of Child SAs with sequence numbers of 32 or of 64 bits (RFC 6311 §6.4).
fn missed(notify: &Notify) -> Option<u64> {
    match *notify.data.as_slice() {
        [a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Some(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

/// The content of IKEV2_MESSAGE_ID_SYNC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Takeover {
    nonce: [u8; 4],
    /// What its sender will use next.
    sends: u32,
    /// What it expects next.
    expects: u32,
    /// Packets that it may have missed.
    missed: u64,
}

impl Takeover {
    /// From the only payload of a request; beside it there is nothing but the notify about packets.
    fn parse(header: &Header, first: PayloadType, content: &[u8]) -> Option<Self> {
        if header.message_id != 0 || header.exchange != ExchangeType::INFORMATIONAL {
            return None;
        }
        let payloads = parse_chain(first, content).ok()?;
        let (mut found, mut packets) = (None, None);
        for payload in &payloads {
            match payload {
                Payload::Notify(notify) if notify.kind == NotifyType::IKEV2_MESSAGE_ID_SYNC && found.is_none() => {
                    found = Some(&notify.data);
                }
                Payload::Notify(notify)
                    if notify.kind == NotifyType::IPSEC_REPLAY_COUNTER_SYNC && packets.is_none() =>
                {
                    packets = Some(missed(notify)?);
                }
                _ => return None,
            }
        }
        let data = <[u8; 12]>::try_from(found?.as_slice()).ok()?;
        let [n0, n1, n2, n3, s0, s1, s2, s3, e0, e1, e2, e3] = data;
        Some(Takeover {
            nonce: [n0, n1, n2, n3],
            sends: u32::from_be_bytes([s0, s1, s2, s3]),
            expects: u32::from_be_bytes([e0, e1, e2, e3]),
            missed: packets.unwrap_or(0),
        })
    }

    fn payload(self) -> Payload {
        let data = [self.nonce, self.sends.to_be_bytes(), self.expects.to_be_bytes()].concat();
        Payload::Notify(Notify::new(NotifyType::IKEV2_MESSAGE_ID_SYNC, data))
    }
}

impl Established {
    /// A member of the cluster has taken over, unless somebody plays back that one had.
    pub(crate) fn synchronize(
        mut self: Box<Self>,
        asked: Takeover,
        mut ends: Ends,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let Some(sends) = self.window.synchronize(asked.sends, asked.expects) else {
            core.counters.outside_window += 1;
            return Some(self.keep(ends));
        };
        let answer = Takeover { nonce: asked.nonce, sends, expects: asked.sends, missed: 0 };
        let header = ends.header(ExchangeType::INFORMATIONAL, true, 0);
        if let Ok(response) = self.protection.seal(&header, &[answer.payload()], &mut *core.rng) {
            core.send(datagram.way(), &response, 0);
        }
        self.hear(&mut ends, datagram.way(), core);
        self.skip_numbers(asked.missed, core);
        match self.take_back(&mut ends, core) {
            After::Stay => self.go_on(ends, core),
            After::End(reason) => {
                self.end(&ends, reason, core);
                None
            }
        }
    }

    /// A member of the cluster says by itself what packets it may have missed.
    pub(crate) fn note_missed(&mut self, payloads: &Payloads, core: &mut Core) {
        if let Some(count) = payloads.notify(NotifyType::IPSEC_REPLAY_COUNTER_SYNC).and_then(missed) {
            self.skip_numbers(count, core);
        }
    }

    /// Packets of all Child SAs have numbers so much higher from now on, as far as that was agreed (RFC 6311 §5.2).
    fn skip_numbers(&mut self, count: u64, core: &mut Core) {
        if count == 0 || !self.cluster.packets {
            return;
        }
        let due = self.children.values_mut().filter_map(|child| child.skip_numbers(count, core)).collect::<Vec<_>>();
        due.into_iter().for_each(|inbound| self.rekey_child(inbound));
    }

    /// Nobody will answer what is open; whether it had an effect, nobody knows. It is asked for anew.
    fn take_back(&mut self, ends: &mut Ends, core: &mut Core) -> After {
        for open in core::mem::take(&mut self.open) {
            let again = match open.exchange {
                // As if it had been put off.
                open @ (Exchange::CreateChild(_) | Exchange::RekeyIke(_)) => {
                    let later = Payloads(Vec::from([Payload::Notify(Error::Temporary.notify())]));
                    match exchange::response(open, self, ends, Ok(later), core) {
                        // A refusal takes no step of a key exchange.
                        Ok(After::Stay) | Err(_) => continue,
                        Ok(end) => return end,
                    }
                }
                Exchange::DeleteChild(open) => open.again(self),
                Exchange::Close(Close(reason)) => Some(What::Close(reason)),
                Exchange::Addresses(open) => Some(open.what),
                Exchange::Window => Some(What::Window),
                Exchange::CrashToken => Some(What::CrashToken),
                Exchange::Redirect | Exchange::Ticket | Exchange::InvalidSelectors | Exchange::Liveness => None,
            };
            self.tasks.extend(again.map(Task::new));
        }
        After::Stay
    }
}
