//! EAP-TLS: both sides prove themselves by certificates (RFC 5216; RFC 9190 for TLS 1.3).
//!
//! ```text
//!   authenticator   Start
//!   peer            ClientHello
//!   authenticator   ServerHello ... its certificate, and that it wants ours
//!   peer            its certificate, a signature, Finished
//!   authenticator   TLS 1.2: Finished         TLS 1.3: one octet of zero, protected: nothing more comes
//!   peer            nothing
//! ```

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use ravelin_pki::names;
use ravelin_types::Secret;

use super::channel::{self, Channel, EMPTY, Heard, ServerEnd};
use super::{Judgement, PeerMethod, ServerMethod};
use crate::account;
use crate::tls::TlsSide;
use crate::turn::Tools;

const NUMBER: u8 = 13;

/// RFC 9190 §2.1.1: the end of the handshake, which no one else can say.
const COMMITMENT: [u8; 1] = [0];

/// RFC 5216 §2.3 and RFC 9190 §2.3.
fn msk(channel: &Channel) -> Result<Secret, String> {
    match channel.tls.is_version_13() {
        true => channel.msk("EXPORTER_EAP_TLS_Key_Material", Some(&[NUMBER])),
        false => channel.msk("client EAP encryption", None),
    }
}

pub(super) struct Peer {
    side: TlsSide,
    channel: Option<Channel>,
    committed: bool,
    failed: Option<String>,
}

impl Peer {
    pub(super) fn new(side: &TlsSide) -> Self {
        Peer { side: side.clone(), channel: None, committed: false, failed: None }
    }
}

impl PeerMethod for Peer {
    fn answer(&mut self, _: u8, data: &[u8], tools: Tools<'_>) -> Result<Vec<u8>, String> {
        if self.failed.is_some() {
            return Err("the authenticator goes on after the handshake failed".into());
        }
        let Some(channel) = &mut self.channel else {
            if !channel::is_start(data) {
                return Err("a handshake that was not started".into());
            }
            let channel = self.channel.insert(Channel::new(tools.tls.connect(&self.side)?));
            return channel.say().ok_or_else(|| "TLS says nothing".into());
        };
        match channel.hear(data)? {
            Heard::Piece(said) => return Ok(said),
            Heard::Whole => {}
            // RFC 5216 §2.1.3: the other side hears why, if it has not said so itself.
            Heard::Over(why) => self.failed = Some(why),
        }
        let written = channel.tls.read();
        if !written.is_empty() && self.failed.is_none() {
            let end = channel.tls.is_version_13() && channel.tls.is_established() && written == COMMITMENT;
            if !end || self.committed {
                return Err("data where the handshake should end".into());
            }
            self.committed = true;
        }
        Ok(channel.say().unwrap_or_else(|| vec![EMPTY]))
    }

    fn outcome(&self) -> Result<Option<Secret>, String> {
        let done = |channel: &&Channel| {
            channel.tls.is_established() && (self.committed || !channel.tls.is_version_13()) && self.failed.is_none()
        };
        match self.channel.as_ref().filter(done) {
            Some(channel) => msk(channel).map(Some),
            None => Err("success before the handshake was done".into()),
        }
    }

    fn refusal(&self) -> Option<String> {
        self.failed.as_ref().map(|why| alloc::format!("EAP-TLS: {why}"))
    }
}

pub(super) struct Server {
    end: ServerEnd,
    /// He is whoever his certificate says.
    anonymous: bool,
    committed: bool,
}

impl Server {
    pub(super) fn new(side: &TlsSide, user: &[u8]) -> Self {
        let anonymous = account::is_anonymous(user);
        let peer = if anonymous { None } else { Some(account::identity(user)) };
        Server { end: ServerEnd::new(TlsSide { peer, ..side.clone() }), anonymous, committed: false }
    }

    fn done(channel: &Channel, anonymous: bool) -> Result<Judgement, String> {
        if !channel.tls.is_established() {
            return Err("the user does not go on with the handshake".into());
        }
        // Nobody is let in whose certificate was not judged.
        let certificate = channel.tls.peer().ok_or("the user has no certificate")?;
        let user = match anonymous {
            true => Some(account::user(&names::first(&certificate).ok_or("a certificate without a name")?)),
            false => None,
        };
        Ok(Judgement::Passed { msk: Some(msk(channel)?), user })
    }

    fn turn(&mut self, data: &[u8], tools: Tools<'_>) -> Result<Judgement, String> {
        let channel = match self.end.hear(data, tools)? {
            ControlFlow::Continue(channel) => channel,
            ControlFlow::Break(said) => return Ok(Judgement::Ask(said)),
        };
        if !channel.tls.read().is_empty() {
            return Err("data inside the handshake".into());
        }
        if channel.tls.is_established() && channel.tls.is_version_13() && !self.committed {
            channel.tls.write(&COMMITMENT);
            self.committed = true;
        }
        match channel.say() {
            Some(said) => Ok(Judgement::Ask(said)),
            None => Self::done(channel, self.anonymous),
        }
    }
}

impl ServerMethod for Server {
    fn begin(&mut self, _: u8, _: Tools<'_>) -> Vec<u8> {
        channel::start()
    }

    fn judge(&mut self, _: u8, _: u8, data: &[u8], tools: Tools<'_>) -> Judgement {
        self.turn(data, tools).unwrap_or_else(Judgement::Failed)
    }

    fn verdict(&self) -> Option<&str> {
        self.end.failed.as_deref()
    }
}
