//! What somebody else wants of sessions: that they end, or may last longer or shorter (RFC 5176).
//!
//! 1. Every attribute must be known and mean something here; else nothing is done (RFC 5176 §2.3).
//! 2. The sessions meant are those that match all of the attributes, among those of remotes whose authorizer the sender is.
//! 3. All of them end, or are changed.

use std::net::IpAddr;
use std::time::Duration;

use ravelin_eap::relay::Admission;
use ravelin_ike::view::IkeSaView;
use ravelin_radius::{Attribute, Code, Packet, authorization};
use ravelin_radius_client::{Authorizer, Demand, Verdict};
use ravelin_types::Instant;

use super::account::Cause;
use super::{Idle, Session};
use crate::daemon::core::Core;
use crate::daemon::plane::Plane;

/// Error-Cause (RFC 5176 §3.5).
const UNSUPPORTED_ATTRIBUTE: u32 = 401;
const MISSING_ATTRIBUTE: u32 = 402;
const NAS_MISMATCH: u32 = 403;
const UNSUPPORTED_SERVICE: u32 = 405;
const INVALID_VALUE: u32 = 407;
const NO_SESSION: u32 = 503;

/// Attributes that say which gateway is meant (RFC 5176 §3).
const OF_NAS: [Attribute; 3] = [Attribute::NAS_IP_ADDRESS, Attribute::NAS_IPV6_ADDRESS, Attribute::NAS_IDENTIFIER];
/// Attributes that say which session is.
const OF_SESSION: [Attribute; 6] = [
    Attribute::USER_NAME,
    Attribute::ACCT_SESSION_ID,
    Attribute::FRAMED_IP_ADDRESS,
    Attribute::FRAMED_IPV6_ADDRESS,
    Attribute::CALLED_STATION_ID,
    Attribute::CALLING_STATION_ID,
];
/// Attributes of the packet alone.
const OF_PACKET: [Attribute; 3] =
    [Attribute::MESSAGE_AUTHENTICATOR, Attribute::EVENT_TIMESTAMP, Attribute::PROXY_STATE];
/// What can be changed.
const CHANGES: [Attribute; 2] = [Attribute::SESSION_TIMEOUT, Attribute::IDLE_TIMEOUT];

/// What others know a session by: attributes, and the values that fit.
pub(super) struct Marks(Vec<(Attribute, Vec<u8>)>);

impl Marks {
    pub(super) fn new(view: &IkeSaView, admission: &Admission, id: &str) -> Self {
        let (own, peer) = (view.local.ip(), view.peer.ip());
        let mut marks = vec![
            (Attribute::USER_NAME, admission.user.clone()),
            (Attribute::ACCT_SESSION_ID, id.as_bytes().to_vec()),
            (Attribute::NAS_IDENTIFIER, admission.name.clone()),
            (Attribute::CALLED_STATION_ID, own.to_string().into_bytes()),
            (Attribute::CALLING_STATION_ID, peer.to_string().into_bytes()),
        ];
        let mut address = |[v4, v6]: [Attribute; 2], address: IpAddr| match address {
            IpAddr::V4(address) => marks.push((v4, address.octets().to_vec())),
            IpAddr::V6(address) => marks.push((v6, address.octets().to_vec())),
        };
        address([Attribute::NAS_IP_ADDRESS, Attribute::NAS_IPV6_ADDRESS], own);
        for inside in &view.inside.1 {
            address([Attribute::FRAMED_IP_ADDRESS, Attribute::FRAMED_IPV6_ADDRESS], *inside);
        }
        Marks(marks)
    }

    /// Whether all attributes of these kinds fit.
    fn fit(&self, packet: &Packet, kinds: &[Attribute]) -> bool {
        packet.attributes.iter().filter(|(kind, _)| kinds.contains(kind)).all(|it| self.0.contains(it))
    }
}

impl Session {
    /// Whether it is of a remote whose authorizer this is.
    fn obeys(&self, demand: &Demand) -> bool {
        let aaa = &self.admission.aaa;
        aaa.secret.expose() == demand.secret.expose() && aaa.authorizers.contains(&demand.from.ip().to_canonical())
    }
}

impl<P: Plane> Core<P> {
    /// Those who may end sessions and change them, if they may be others than before.
    pub fn authorizers(&mut self) -> Option<Vec<Authorizer>> {
        if !std::mem::take(&mut self.sessions.reconfigured) {
            return None;
        }
        // Without a secret, which may have been unloaded, anybody would be believed.
        let all = self.model.relays().filter(|aaa| !aaa.secret.is_empty());
        let each = all.flat_map(|aaa| {
            let secret = aaa.secret.clone();
            let authorizer = move |address: &IpAddr| Authorizer { address: *address, secret: secret.clone() };
            aaa.authorizers.iter().map(authorizer).collect::<Vec<_>>()
        });
        Some(each.collect())
    }

    /// Does what somebody wants who may.
    pub fn demand(&mut self, demand: &Demand, now: Instant) -> Verdict {
        let verdict = self.obey(demand, now).map_or_else(Verdict::Refused, |()| Verdict::Done);
        if let Verdict::Refused(cause) = verdict {
            let from = demand.from.ip().to_canonical();
            tracing::warn!("what {from} wants of sessions by RADIUS is refused: {}", words(cause));
        }
        verdict
    }

    fn obey(&mut self, demand: &Demand, now: Instant) -> Result<(), u32> {
        let packet = &demand.packet;
        let disconnect = packet.code == Code::DISCONNECT_REQUEST;
        for (kind, value) in &packet.attributes {
            let change = !disconnect && CHANGES.contains(kind);
            match *kind {
                kind if change && authorization::time(packet, kind).is_none() => return Err(INVALID_VALUE),
                // RFC 5176 §3.3: it goes back as it came.
                Attribute::STATE if !disconnect => {}
                // RFC 5176 §3.2: nor is `Authorize Only` there.
                Attribute::SERVICE_TYPE if !disconnect => return Err(UNSUPPORTED_SERVICE),
                Attribute::NAS_IP_ADDRESS | Attribute::FRAMED_IP_ADDRESS if value.len() != 4 => {
                    return Err(INVALID_VALUE);
                }
                Attribute::NAS_IPV6_ADDRESS | Attribute::FRAMED_IPV6_ADDRESS if value.len() != 16 => {
                    return Err(INVALID_VALUE);
                }
                kind if change || OF_NAS.contains(&kind) || OF_SESSION.contains(&kind) || OF_PACKET.contains(&kind) => {
                }
                _ => return Err(UNSUPPORTED_ATTRIBUTE),
            }
        }
        let has = |kinds: &[Attribute]| packet.attributes.iter().any(|(kind, _)| kinds.contains(kind));
        // Whoever names no session means all of them, or has made a mistake.
        if !has(&OF_SESSION) || !disconnect && !has(&CHANGES) {
            return Err(MISSING_ATTRIBUTE);
        }
        let his: Vec<(&u64, &Session)> = self.sessions.all.iter().filter(|(_, it)| it.obeys(demand)).collect();
        let here: Vec<_> = his.iter().filter(|(_, session)| session.marks.fit(packet, &OF_NAS)).collect();
        if here.is_empty() && !his.is_empty() {
            return Err(NAS_MISMATCH);
        }
        let meant = here.into_iter().filter(|(_, it)| it.marks.fit(packet, &OF_SESSION) && it.ending.is_none());
        let meant: Vec<u64> = meant.map(|(number, _)| **number).collect();
        if meant.is_empty() {
            return Err(NO_SESSION);
        }
        let times = CHANGES.map(|kind| authorization::time(packet, kind));
        for number in meant {
            match disconnect {
                true => self.end_session(number, Cause::AdminReset, now),
                false => self.change_session(number, times, now),
            }
        }
        self.sessions_due(now);
        Ok(())
    }

    /// RFC 5176 §3.6, note 3: what is there takes the place of what was; Session-Timeout counts from the beginning as before.
    fn change_session(&mut self, number: u64, [session_timeout, idle]: [Option<Duration>; 2], now: Instant) {
        let Some(session) = self.sessions.all.get_mut(&number) else { return };
        session.session_timeout = session_timeout.or(session.session_timeout);
        if let Some(after) = idle {
            session.idle = Some(Idle::new(after, 0, now));
        }
        tracing::info!("{} is changed by RADIUS", session.name());
        self.sessions.set_timer(number);
    }
}

fn words(cause: u32) -> &'static str {
    match cause {
        UNSUPPORTED_ATTRIBUTE => "it has an attribute that means nothing here (401)",
        MISSING_ATTRIBUTE => "it names no session, or no change of one (402)",
        NAS_MISMATCH => "it means another gateway (403)",
        UNSUPPORTED_SERVICE => "Service-Type is not there (405)",
        INVALID_VALUE => "an attribute has a value that cannot be (407)",
        _ => "there is no such session (503)",
    }
}
