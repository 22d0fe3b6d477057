//! Accounts of the PSK manager whose keys are fresh: IKEv2, in which the login is the identity and the password the key.
//!
//! ```text
//!   client    an account     ─► a remote that is KEY_ID `tcp/10000`; we are the KEY_ID of the SPI
//!   server    a place's logins ─► one remote for everybody, with the keys of these logins alone; one policy
//! ```
//! Each flow has an SA of its own (populate from packet), so several logins on one port never share one. They are the
//! policies and remotes of the command line and are listed as those are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ravelin_ike::config::{IdPattern, OwnedKey};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::IntegId;
use ravelin_types::{Identity, Spi};

use super::keys::RoundKeys;
use super::{Auth, Model, ModelError, RemoteEntry};
use crate::account::{Account, protocol_name};
use crate::command::{Command, parse};
use crate::spec::{PolicySpec, RemoteSpec};
use crate::value::algorithm::encr_name;

/// A peer that was not heard for so many seconds is asked whether it lives.
const LIVENESS: &str = "30";

impl Model {
    /// Adds what accounts with fresh keys need; at the `server` the logins of one place share a policy. The numbers of the
    /// policies.
    ///
    /// # Errors
    /// When a name is taken by another remote or policy.
    pub fn add_accounts(&mut self, accounts: &[&Account], server: bool) -> Result<Vec<PolicyId>, ModelError> {
        let mut places: BTreeMap<String, Vec<&Account>> = BTreeMap::new();
        for account in accounts {
            // A client has a remote for each account: it is somebody else at each.
            let name = if server { place_name(account) } else { account.name.clone() };
            places.entry(name).or_default().push(account);
        }
        places.iter().map(|(name, logins)| self.add_place(name, logins, server)).collect()
    }

    fn add_place(&mut self, name: &str, logins: &[&Account], server: bool) -> Result<PolicyId, ModelError> {
        let first = logins[0];
        let keys: Arc<[OwnedKey]> = logins.iter().map(|login| key(login)).collect();
        let (mut remote, mut policy) = specs(name, first, server);
        if server {
            // Whoever comes: there is no address to which we would start.
            let anybody = match first.server {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            remote.endpoint = anybody.into();
            if let Some(esp) = &mut policy.esp {
                esp.endpoint = anybody.into();
            }
        }
        let place = (name.to_owned(), remote.version.number());
        if self.remotes.contains_key(&place) {
            return Err(ModelError::RemoteExists(place.0, place.1));
        }
        let entry = RemoteEntry {
            spec: remote,
            place: self.next_place(),
            auth: Auth::Logins(keys),
            ppk: None,
            rounds: RoundKeys::default(),
            xauth: None,
        };
        self.remotes.insert(place.clone(), Arc::new(entry));
        self.add_policy(policy).inspect_err(|_| drop(self.remotes.remove(&place)))
    }
}

/// The name of the remote and the policy of one place at the server.
fn place_name(account: &Account) -> String {
    // A name has no colon, and an address may.
    let address = account.server.to_string().replace(':', "_");
    format!("{}-{}-{address}", protocol_name(account.protocol), account.port)
}

fn login_id(login: Spi) -> Identity {
    Identity::KeyId(login.0.to_be_bytes().into())
}

/// Who the server of a place is: a login there proves nothing at another place.
fn place_id(account: &Account) -> Identity {
    Identity::KeyId(format!("{}/{}", protocol_name(account.protocol), account.port).into_bytes())
}

fn key(account: &Account) -> OwnedKey {
    OwnedKey { owners: vec![IdPattern::Exactly(login_id(account.login))], secret: account.password.clone() }
}

/// The remote and the policy in the words of the command line, so that they are what an operator could have written.
fn specs(name: &str, account: &Account, server: bool) -> (RemoteSpec, PolicySpec) {
    let address = account.server.to_string();
    let (login, place) = (login_id(account.login), place_id(account));
    let at = format!("{address},{}", account.port);
    let mode = if account.mode == Mode::Tunnel { "tunnel" } else { "transport" };
    let encr = account.cipher.map(|cipher| encr_name(cipher.id, Some(cipher.key_bits(&account.password))));
    // RFC 8221 §4: what a cipher does not authenticate, a MAC does, also where document 000 had none.
    let bare = account.cipher.is_some_and(|cipher| !cipher.is_aead());
    let mac = account.mac.map(|mac| mac.id).or(bare.then_some(IntegId::HMAC_SHA2_256_128)).map(|id| id.to_string());

    let mut remote = vec!["ike", "remote", "-n", name, "-z", "2", "-m", "PSK", "-r", &address, "-h", "-"];
    remote.extend(["--liveness", LIVENESS]);
    let mut policy = vec!["ipsec", "policy", "-n", name, "-g", name, "-t", "ESP", "-m", mode, "-r", &address];
    let protocol = protocol_name(account.protocol);
    let seconds = |time: Duration| time.as_secs_f64().to_string();
    let (idle, life) = (seconds(account.idle), account.life.map(seconds));
    policy.extend(["-p", &protocol, "--inactivity", &idle]);
    policy.extend(life.iter().flat_map(|life| ["-k", life]));
    // The other side of the traffic is set below: a command line has one address there in transport mode.
    if server {
        remote.extend(["-u", "--local", &address]);
        policy.extend(["--local", &address, "-s", &at, "-d", &address, "--pfp", "remote,remote-port"]);
    } else {
        remote.push("-w");
        policy.extend(["-s", &address, "-d", &at, "--pfp", "local,local-port"]);
    }
    remote.extend(["-g", "keyid:00"]);
    policy.extend(encr.iter().flat_map(|name| ["-e", name]));
    policy.extend(mac.iter().flat_map(|name| ["-a", name]));
    let parsed = |words: Vec<&str>| {
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        parse(&words).map(|parsed| parsed.command)
    };
    let (Ok(Command::AddRemote(mut remote)), Ok(Command::AddPolicy(mut policy))) = (parsed(remote), parsed(policy))
    else {
        unreachable!("an account that was read has only values that the grammar takes");
    };
    (remote.own_id, remote.peer_id) = if server { (place, login) } else { (login, place) };
    let any = if account.server.is_ipv4() { TrafficSelector::any_v4() } else { TrafficSelector::any_v6() };
    let anybody = vec![any.with(account.protocol, 0..=u16::MAX).unwrap_or(any)];
    *(if server { &mut policy.remote } else { &mut policy.local }) = anybody;
    (*remote, *policy)
}

#[cfg(test)]
mod tests {
    use ravelin_types::Secret;

    use super::*;
    use crate::account::Keys;

    fn account(name: &str, login: u32, port: u16) -> Account {
        Account {
            name: name.into(),
            server: "2001:db8::1".parse().unwrap(),
            protocol: 6,
            port,
            login: Spi(login),
            password: Secret::from(b"1234567890123456".as_slice()),
            cipher: None,
            mac: None,
            mac_key: Secret::default(),
            mode: Mode::Transport,
            keys: Keys::Fresh,
            idle: Duration::from_secs(300),
            life: None,
        }
    }

    #[test]
    fn a_client_is_its_login_and_asks_for_the_place() {
        let mut model = Model::new();
        model.add_accounts(&[&account("one", 1, 10000), &account("two", 2, 10001)], false).unwrap();
        let config = model.ike_config(&BTreeMap::new());
        let remote = config.remote("one").unwrap();
        assert_eq!(remote.local_id, Identity::KeyId(vec![0, 0, 0, 1]));
        assert_eq!(remote.remote_id, Identity::KeyId(b"tcp/10000".to_vec()));
        assert!(remote.initiate && !remote.accept && remote.open.peers.is_none());
        assert_eq!(config.policies.len(), 2);
        assert!(model.add_accounts(&[&account("one", 3, 10002)], false).is_err());
    }

    #[test]
    fn logins_of_one_place_share_a_policy_and_no_key_of_another_place() {
        let mut model = Model::new();
        let (a, b, c) = (account("a", 1, 10000), account("b", 2, 10000), account("c", 3, 10001));
        assert_eq!(model.add_accounts(&[&a, &b, &c], true).unwrap().len(), 2);
        let config = model.ike_config(&BTreeMap::new());
        let remote = config.remote("tcp-10000-2001_db8__1").unwrap();
        assert!(remote.remote.is_unspecified() && remote.accept && !remote.initiate);
        assert_eq!(remote.open.peers, Some(ravelin_ike::config::IdPattern::Any));
        let owners: Vec<_> = remote.open.keys.iter().flat_map(|keys| keys.iter()).map(|key| &key.owners[0]).collect();
        assert_eq!(owners, [1, 2].map(|login| IdPattern::Exactly(login_id(Spi(login)))).iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_cipher_without_a_mac_gets_one() {
        let mut account = account("a", 1, 10000);
        account.cipher = Some(crate::account::Cipher::named("cbc(aes)").unwrap());
        let (_, policy) = specs("a", &account, false);
        let words = format!("{:?}", policy.esp.unwrap().proposals);
        assert!(words.contains("AES-CBC") && words.contains("HMAC-SHA-2-256"), "{words}");
    }
}
