//! What a file of commands has besides the configuration, and what must wait until the addresses of this host can be used:
//! after a start of the system, IPv6 addresses come late (router advertisements) and are tentative for a while
//! (duplicate address detection, RFC 4862 §5.4). Policies are in force all that time.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use ravelin_config::command::{self, Command};
use ravelin_config::rc::Later;
use ravelin_config::value::host::Host;
use ravelin_control::{ClientId, Message};
use ravelin_types::Instant;
use ravelin_types::policy::PolicyId;

use super::core::Core;
use super::plane::Plane;
use crate::render;

/// How long after the start addresses are waited for: `IPV6_ADDR_CFG_CHK_WAIT_TIME` of document 003.
const PATIENCE: Duration = Duration::from_secs(60);
/// When to look again.
pub(super) const AGAIN: Duration = Duration::from_millis(500);
/// Who asks for what a file asks for: no client has this number.
pub(super) const NOBODY: ClientId = ClientId(u64::MAX);

/// Commands that wait for addresses.
#[derive(Debug, Default)]
pub(super) struct Pending {
    commands: Vec<Later>,
    look_at: Option<Instant>,
}

/// Whether a socket can be bound to the address: it is one of this host, and not tentative.
pub fn is_usable(address: IpAddr) -> bool {
    // Of a link-local address without its link nothing can be said.
    !UdpSocket::bind((address, 0)).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrNotAvailable)
}

impl<P: Plane> Core<P> {
    /// Carries out commands of a file, once the addresses that the configuration gives this host can be used.
    pub(super) fn carry_out_later(&mut self, commands: Vec<Later>, now: Instant) {
        self.pending.commands.extend(commands);
        self.look_at_pending(now);
    }

    /// When to look again.
    pub(super) fn pending_at(&self) -> Option<Instant> {
        self.pending.look_at
    }

    pub(super) fn look_at_pending(&mut self, now: Instant) {
        if self.pending.commands.is_empty() {
            return;
        }
        if let Some(address) = self.unsettled(now) {
            if self.pending.look_at.is_none() {
                tracing::info!(
                    "commands of the file wait until {address} can be used, {} s at most",
                    PATIENCE.as_secs()
                );
            }
            self.pending.look_at = Some(now + AGAIN);
            return;
        }
        self.pending.look_at = None;
        for later in std::mem::take(&mut self.pending.commands) {
            match self.one(&later, now) {
                Ok(text) => text.lines().for_each(|line| tracing::info!("{}: {line}", later.at())),
                Err(why) => tracing::warn!("{}: {why}", later.at()),
            }
        }
    }

    /// What the command answers. Nothing is waited for: what it begins is in the log when it has come.
    fn one(&mut self, later: &Later, now: Instant) -> Result<String, String> {
        let directory = later.file.parent().unwrap_or(std::path::Path::new("/"));
        let parsed = command::parse(&later.arguments).map_err(|error| error.to_string())?;
        let mut command = parsed.command.seen_from(directory);
        let wait = match &mut command {
            Command::Initiate(args) => Some(&mut args.wait),
            Command::Rekey(args) => Some(&mut args.wait),
            Command::Terminate(args) => Some(&mut args.wait),
            _ => None,
        };
        wait.into_iter().for_each(|wait| wait.timeout = Duration::ZERO);
        let answer = self.carry_out(NOBODY, command, directory, now)?.unwrap_or_else(Message::new);
        let notes = answer.list("notes").unwrap_or_default().join("\n");
        Ok(format!("{notes}\n{}", render::tables(&answer)).trim().to_owned())
    }

    /// An address of ours that cannot be used yet.
    fn unsettled(&self, now: Instant) -> Option<IpAddr> {
        if now.since(self.started) >= PATIENCE {
            return None;
        }
        let of_policies = self.model.policies().filter_map(|entry| entry.spec.esp.as_ref()?.local);
        let mut own = self.model.remotes().filter_map(|entry| entry.spec.local).chain(of_policies);
        own.find(|address| !self.plane.is_usable(*address))
    }

    /// Whether the address that a policy is negotiated from can be used, or was waited for long enough.
    pub(super) fn is_settled(&mut self, id: PolicyId, now: Instant) -> bool {
        if now.since(self.started) >= PATIENCE {
            return true;
        }
        let Some(esp) = self.model.policy_by_id(id).and_then(|entry| entry.spec.esp.as_ref()) else { return true };
        let local = self.model.find_remote(&esp.remote).ok().and_then(|remote| remote.spec.local);
        match local.or(esp.local) {
            Some(address) => self.plane.is_usable(address),
            None => {
                let remote = self.model.find_remote(&esp.remote).ok();
                let hosts: Vec<Host> = match remote {
                    Some(remote) => remote.spec.hosts().cloned().collect(),
                    None => vec![esp.endpoint.clone()],
                };
                // Where a name leads is found out when it begins.
                hosts.iter().any(|host| host.address().is_none_or(|it| self.plane.source_towards(it).is_some()))
            }
        }
    }
}
