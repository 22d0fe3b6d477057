//! A peer that is a cluster: a member that takes over says by which message IDs the two go on (RFC 6311).
//!
//! ```text
//!   HDR(0), SK {N(IKEV2_MESSAGE_ID_SYNC, nonce, M1, P1)}  -->
//!                                 <--  HDR(0), SK {N(IKEV2_MESSAGE_ID_SYNC, nonce, P2, M2)}
//! ```
//! Each sender writes first what it will use next and then what it expects. We are on the side of the peer alone, as there is
//! no cluster of ours. Numbers of packets are not skipped: that would be IPSEC_REPLAY_COUNTER_SYNC, which we do not announce.
//! Read RFC 6311 §5.1, §6 and §9 before changing this file.

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

/// `N(IKEV2_MESSAGE_ID_SYNC_SUPPORTED)` (RFC 6311 §6.1), where the remote may be a cluster.
pub(crate) fn supported(remote: &Remote) -> Option<Payload> {
    let notify = Notify::new(NotifyType::IKEV2_MESSAGE_ID_SYNC_SUPPORTED, Vec::new());
    remote.extensions.cluster.then_some(Payload::Notify(notify))
}

/// Whether both sides have said it.
pub(crate) fn agreed(remote: &Remote, payloads: &Payloads) -> bool {
    remote.extensions.cluster && payloads.notify(NotifyType::IKEV2_MESSAGE_ID_SYNC_SUPPORTED).is_some()
}

/// The content of IKEV2_MESSAGE_ID_SYNC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Takeover {
    nonce: [u8; 4],
    /// What its sender will use next.
    sends: u32,
    /// What it expects next.
    expects: u32,
}

impl Takeover {
    /// From the only payload of a request; beside it there is nothing but the notify about packets.
    pub(crate) fn parse(header: &Header, first: PayloadType, content: &[u8]) -> Option<Self> {
        if header.message_id != 0 || header.exchange != ExchangeType::INFORMATIONAL {
            return None;
        }
        let payloads = parse_chain(first, content).ok()?;
        let mut found = None;
        for payload in &payloads {
            match payload {
                Payload::Notify(notify) if notify.kind == NotifyType::IKEV2_MESSAGE_ID_SYNC && found.is_none() => {
                    found = Some(&notify.data);
                }
                Payload::Notify(notify) if notify.kind == NotifyType::IPSEC_REPLAY_COUNTER_SYNC => {}
                _ => return None,
            }
        }
        let data = <[u8; 12]>::try_from(found?.as_slice()).ok()?;
        let [n0, n1, n2, n3, s0, s1, s2, s3, e0, e1, e2, e3] = data;
        Some(Takeover {
            nonce: [n0, n1, n2, n3],
            sends: u32::from_be_bytes([s0, s1, s2, s3]),
            expects: u32::from_be_bytes([e0, e1, e2, e3]),
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
        let answer = Takeover { nonce: asked.nonce, sends, expects: asked.sends };
        let header = ends.header(ExchangeType::INFORMATIONAL, true, 0);
        if let Ok(response) = self.protection.seal(&header, &[answer.payload()], &mut *core.rng) {
            core.send(datagram.way(), &response, 0);
        }
        self.hear(&mut ends, datagram.way(), core);
        match self.take_back(&mut ends, core) {
            After::Stay => self.go_on(ends, core),
            After::End(reason) => {
                self.end(&ends, reason, core);
                None
            }
        }
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
