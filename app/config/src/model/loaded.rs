//! What was loaded from `swanctl.conf` or over VICI: connections and secrets. Nothing that is the same is touched.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ravelin_ike::config::{IdPattern, OwnedKey};
use ravelin_types::{Identity, Secret};

use super::reload::same;
use super::shared::Shared;
use super::{Model, ModelError, versions_of};
use crate::eap;
use crate::papers::Loaded;
use crate::spec::{PeerBy, RemoteSpec, SecretKind, SharedSecret, Which};
use crate::swanctl::Contents;
use crate::swanctl::connection::Connection;
use crate::value::identity;

/// What of a file cannot be.
#[derive(Debug)]
pub struct Misfit {
    /// The section that it stands in: `connections` or `pools`.
    pub section: &'static str,
    /// Its name there.
    pub name: String,
    /// Why not.
    pub error: ModelError,
}

impl Model {
    /// The loaded key of one owner.
    pub(super) fn key_of(&self, owner: &Identity) -> Option<Secret> {
        let owner = IdPattern::Exactly(owner.clone());
        self.keyring.iter().rev().find(|key| key.owners.contains(&owner)).map(|key| key.secret.clone())
    }

    /// Nothing is proven by an empty secret: neither the answer of a RADIUS server, nor who may end sessions.
    pub(super) fn check_radius(&self, spec: &RemoteSpec) -> Result<(), ModelError> {
        let rounds = spec.rounds.peer.iter().filter_map(|round| match &round.by {
            PeerBy::Eap(eap, file) => Some((eap, file)),
            _ => None,
        });
        let all = spec.eap.iter().map(|eap| (eap, &spec.secret_file)).chain(rounds);
        for (eap, _) in all.filter(|(_, file)| file.is_none()) {
            if let Some(first) = eap.radius.servers.first().map(|server| &server.host)
                && self.key_of(&identity::of(first)).is_none()
            {
                return Err(ModelError::NoRadiusSecret(first.clone()));
            }
        }
        Ok(())
    }

    /// The names of the connections that were loaded.
    pub fn connections(&self) -> BTreeSet<&str> {
        let remotes = self.remotes.values().filter(|entry| entry.spec.loaded.is_some());
        let remotes = remotes.map(|entry| entry.spec.name.as_str());
        let policies = self.policies.iter().filter_map(|entry| entry.spec.connection.as_deref());
        remotes.chain(policies).collect()
    }

    /// Loads a connection, in the place of one of the same name, else behind all others. Children that are the same keep their numbers, and so
    /// their SAs. Whether anything is different now.
    ///
    /// # Errors
    /// When the name is that of a remote of the command line, or a policy cannot be.
    pub fn load_connection(&mut self, connection: Connection) -> Result<bool, ModelError> {
        let Connection { name, remote, older, policies } = connection;
        if self.versions(&name).any(|entry| entry.spec.loaded.is_none()) {
            return Err(ModelError::NotLoaded(name));
        }
        let gone: Vec<String> = self
            .policies
            .of_connection(&name)
            .filter(|entry| !policies.iter().any(|policy| same(policy, &entry.spec)))
            .map(|entry| entry.spec.name.clone())
            .collect();
        let mut changed = !gone.is_empty();
        for policy in gone {
            self.delete_policies(&Which::Named(policy))?;
        }
        // In the order of their versions.
        let remotes: Vec<RemoteSpec> = older.into_iter().chain(remote).collect();
        if !self.versions(&name).map(|entry| &entry.spec).eq(&remotes) {
            changed = true;
            let place = self.versions(&name).map(|entry| entry.place).min();
            self.forget_remote(&name);
            for remote in remotes {
                self.add_remote(remote, Path::new(""))?;
            }
            if let Some(place) = place {
                self.put_at(&name, place);
            }
        }
        for policy in policies {
            match self.policy(&policy.name).map(|entry| (entry.id, entry.spec.trap)) {
                Some((id, trap)) if trap != policy.trap => {
                    changed = true;
                    self.set_trap(id, policy.trap);
                }
                Some(_) => {}
                None => {
                    changed = true;
                    self.add_policy(policy)?;
                }
            }
        }
        Ok(changed)
    }

    /// Removes a loaded connection with its children.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn unload_connection(&mut self, name: &str) -> Result<(), ModelError> {
        let loaded = self.versions(name).any(|entry| entry.spec.loaded.is_some());
        let own: Vec<String> = self.policies.of_connection(name).map(|entry| entry.spec.name.clone()).collect();
        if !loaded && own.is_empty() {
            return Err(ModelError::NoSuchConnection(name.to_owned()));
        }
        for policy in own {
            self.delete_policies(&Which::Named(policy))?;
        }
        self.forget_remote(name);
        Ok(())
    }

    /// Puts a file in the place of everything that was loaded before; its connections come in its order, behind other remotes.
    ///
    /// # Errors
    /// The connection or pool that cannot be, and why.
    pub fn replace_loaded(&mut self, contents: Contents) -> Result<(), Box<Misfit>> {
        let misfit = |section, name: &str| {
            let name = name.to_owned();
            move |error| Box::new(Misfit { section, name, error })
        };
        self.database.change_loaded(|loaded| *loaded = contents.papers);
        let secrets = contents.secrets.into_iter().map(|secret| (secret.name.clone(), Arc::new(secret)));
        self.secrets = Shared::new(secrets.collect());
        self.key();
        self.pools.retain(|_, spec| !spec.loaded);
        for spec in contents.pools {
            let misfit = misfit("pools", &spec.pool.name);
            self.load_pool(spec).map_err(misfit)?;
        }
        let kept: BTreeSet<String> = contents.connections.iter().map(|connection| connection.name.clone()).collect();
        let gone: Vec<String> =
            self.connections().into_iter().filter(|name| !kept.contains(*name)).map(str::to_owned).collect();
        for name in gone {
            self.unload_connection(&name).map_err(misfit("connections", &name))?;
        }
        for connection in contents.connections {
            let (misfit, name) = (misfit("connections", &connection.name), connection.name.clone());
            self.load_connection(connection).map_err(misfit)?;
            let last = self.next_place();
            self.put_at(&name, last);
        }
        Ok(())
    }

    /// Puts the remotes of a name at this place among all.
    fn put_at(&mut self, name: &str, place: u32) {
        let own = self.remotes.range_mut(versions_of(name)).map(|(_, entry)| entry);
        own.filter(|entry| entry.place != place).for_each(|entry| Arc::make_mut(entry).place = place);
    }

    /// Whether a policy is in force without an SA from now on.
    pub fn set_trap(&mut self, id: ravelin_types::policy::PolicyId, trap: bool) {
        self.policies.set_trap(id, trap);
    }

    /// The names of the secrets that were loaded.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.keys().map(String::as_str)
    }

    /// A name for a secret that has none.
    pub fn unnamed_secret(&self) -> String {
        let numbers = (1..).map(|number| format!("unnamed-{number}"));
        numbers.into_iter().find(|name| !self.secrets.contains_key(name)).unwrap_or_default()
    }

    /// Loads a secret, in the place of one of the same name. Whether anything is different now.
    pub fn load_secret(&mut self, secret: SharedSecret) -> bool {
        if self.secrets.get(&secret.name).is_some_and(|known| known.is(&secret)) {
            return false;
        }
        self.secrets.insert(secret.name.clone(), Arc::new(secret));
        self.key();
        true
    }

    /// Removes a secret. `false`: there is none of this name.
    pub fn unload_secret(&mut self, name: &str) -> bool {
        let there = self.secrets.remove(name).is_some();
        self.key();
        there
    }

    /// Removes every secret, and every certificate and private key that was loaded.
    pub fn clear_credentials(&mut self) {
        self.secrets.clear();
        self.key();
        self.database.change_loaded(Loaded::clear);
    }

    /// Changes the certificates and private keys that were loaded.
    pub fn change_papers<T>(&mut self, change: impl FnOnce(&mut Loaded) -> T) -> T {
        self.database.change_loaded(change)
    }

    fn key(&mut self) {
        let keys = self.secrets.values().filter(|secret| secret.kind == SecretKind::Ike);
        let keys = keys.map(|secret| OwnedKey { owners: secret.owners.clone(), secret: secret.secret.clone() });
        self.keyring = keys.collect();
        let ppks = self.secrets.values().filter(|secret| secret.kind == SecretKind::Ppk);
        self.ppks = ppks.flat_map(|it| it.names().map(|name| (name.clone(), it.secret.clone()))).collect();
        self.accounts = eap::accounts(self.secrets.values().map(AsRef::as_ref));
    }
}

#[cfg(test)]
mod tests;
