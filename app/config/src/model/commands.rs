//! The configuration as command lines (`ike commands`): a file of them makes it anew.

use std::collections::BTreeSet;

use super::{Auth, Model, PolicyEntry, RemoteEntry};
use crate::command::{interface_line, pool_line};
use crate::papers::Entry;

/// Command lines, and what cannot be said by any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// In an order in which they can be carried out.
    pub lines: Vec<String>,
    /// One sentence each.
    pub left_out: Vec<String>,
}

impl Model {
    /// The lines that make this configuration from nothing. Connections of `swanctl.conf` and accounts have files of their
    /// own, and keys that were typed are in none.
    pub fn commands(&self) -> Commands {
        let mut commands = Commands::default();
        let accounts: BTreeSet<&str> =
            self.remotes().filter(|entry| entry.has_accounts()).map(|entry| entry.spec.name.as_str()).collect();
        let of_accounts =
            |entry: &&PolicyEntry| entry.spec.esp.as_ref().is_some_and(|esp| accounts.contains(esp.remote.as_str()));
        let lines = &mut commands.lines;
        lines.extend(self.certificates().entries().iter().map(certificate));
        lines.extend(self.interfaces.values().map(|interface| interface_line(interface).to_string()));
        let typed = self.pools().filter(|spec| !spec.loaded);
        lines.extend(typed.map(|spec| pool_line(&spec.pool).to_string()));
        let typed = |entry: &&RemoteEntry| entry.spec.loaded.is_none() && !entry.has_accounts();
        lines.extend(self.remotes().filter(typed).map(|entry| entry.spec.line().to_string()));
        let typed = |entry: &&PolicyEntry| !entry.automatic && entry.spec.connection.is_none();
        let policies = self.policies().filter(typed).filter(|entry| !of_accounts(entry));
        lines.extend(policies.map(|entry| entry.spec.line().to_string()));
        for keyed in self.keyed() {
            match keyed.spec.as_ref().map(|spec| spec.line()) {
                Some(Some(line)) => lines.push(line.to_string()),
                Some(None) => commands.left_out.push(format!(
                    "the SA {} has keys that were typed; give them as file:PATH to have it in the file",
                    keyed.policy.name
                )),
                // A program with a socket of its own makes it anew.
                None => {}
            }
        }
        if self.has_scripts() {
            commands
                .left_out
                .push("what scripts of setkey(8) have added: carry them out again with setkey -f".to_owned());
        }
        let from = "was loaded from a swanctl.conf or over VICI";
        for name in self.connections() {
            let remotes = self.versions(name).map(|entry| entry.spec.line());
            let children = self.policies().filter(|entry| entry.spec.connection.as_deref() == Some(name));
            let lines = remotes.chain(children.map(|entry| entry.spec.line()));
            let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
            commands.left_out.push(format!("the connection {name} {from}; in lines it is like: {}", lines.join("; ")));
        }
        let secrets = self.secrets().map(|name| format!("the secret {name} {from}"));
        let pools = self.pools().filter(|spec| spec.loaded);
        let pools =
            pools.map(|spec| format!("the pool {} {from}; in lines: {}", spec.pool.name, pool_line(&spec.pool)));
        commands.left_out.extend(secrets.chain(pools));
        let accounts = accounts.into_iter().map(|name| format!("the remote {name} is made from accounts of psk start"));
        commands.left_out.extend(accounts);
        commands
    }
}

impl RemoteEntry {
    fn has_accounts(&self) -> bool {
        matches!(self.auth, Auth::Logins(_))
    }
}

fn certificate(entry: &Entry) -> String {
    entry.spec.line().to_string()
}

#[cfg(test)]
mod tests;
