//! EAP in the configuration: which of the two sides of a remote is the user, his methods, and files with passwords.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ravelin_eap::{Account, Accounts, Method};
use ravelin_ike::config::IdPattern;
use ravelin_types::Identity;

use crate::rc::{RcError, Remark};
use crate::secret;
use crate::swanctl::ipsec_conf;
use crate::swanctl::reader::Problems;
use crate::swanctl::secrets::{self, SecretKind, SharedSecret};
use crate::value::{BadValue, did_you_mean};

/// Bytes of a file with passwords: some ten thousand users.
const MAX_FILE: usize = 1024 * 1024;

/// A remote of whose two sides one proves itself by EAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EapSpec {
    /// Who of the two.
    pub role: Role,
    /// By which methods, best first.
    pub methods: Vec<Method>,
    /// How the side that is no user proves itself beside the method.
    pub beside: Beside,
    /// RADIUS servers that know the users, best first; then they choose the methods.
    pub radius: Vec<SocketAddr>,
    /// Whom the certificate of the server behind EAP must name, for methods over TLS; `None`: the remote itself.
    pub server: Option<Identity>,
}

/// What the side that is no user proves itself by before EAP begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// A pre-shared key that was loaded.
    Psk,
    /// A certificate.
    Certificate,
    /// Nothing: the method proves both sides (RFC 5998).
    Nothing,
}

/// The side that we are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// We are this user.
    User(Identity),
    /// The remote is a user; we ask.
    Authenticator {
        /// For his name, by EAP; else it is the identity of IKE.
        ask_identity: bool,
        /// Which users this remote is for.
        users: IdPattern,
        /// Whatever the identity of IKE is, which nobody proves.
        any_identity: bool,
    },
}

impl EapSpec {
    /// Whether we can begin: only a user does.
    pub fn initiates(&self) -> bool {
        matches!(self.role, Role::User(_))
    }

    /// Whether we can answer.
    pub fn accepts(&self) -> bool {
        !self.initiates()
    }
}

/// Methods, best first, by their words.
///
/// # Errors
/// When a word is none.
pub fn methods(text: &str) -> Result<Vec<Method>, BadValue> {
    let mut offset = 0;
    let mut methods = Vec::new();
    for word in text.split(',') {
        let Some(method) = Method::find(word.trim()) else {
            let known = Method::ALL.iter().map(|(_, name)| *name);
            let hint = did_you_mean(&word.trim().to_uppercase(), known.clone());
            let known: Vec<&str> = known.collect();
            return Err(BadValue::at(offset, format!("expected {}{hint}", known.join(", "))));
        };
        offset += word.len() + 1;
        methods.push(method);
    }
    Ok(methods)
}

/// A RADIUS server: its address, and its port where that is not 1812.
///
/// # Errors
/// When it is neither.
pub fn radius_server(text: &str) -> Result<SocketAddr, BadValue> {
    const PORT: u16 = 1812;
    let address = || text.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
    text.parse().or_else(|_| address()).map_err(|_| BadValue::new("expected an address, or ADDRESS:PORT".to_owned()))
}

/// Every method, best first, for whoever names none.
pub fn every_method() -> Vec<Method> {
    vec![Method::MsChapV2, Method::Gtc, Method::Md5]
}

/// The passwords among secrets.
pub fn accounts<'a>(secrets: impl Iterator<Item = &'a SharedSecret>) -> Accounts {
    let passwords = secrets.filter(|secret| secret.kind == SecretKind::Password);
    let account = |secret: &SharedSecret| Account { owners: secret.owners.clone(), password: secret.secret.clone() };
    Accounts(passwords.map(account).collect())
}

/// The passwords of a file in the form of `ipsec.secrets`: `carol : EAP "her password"`, one user a line.
///
/// # Errors
/// When it cannot be read, others can read it, or something in it is wrong.
pub fn read_accounts(path: &Path) -> Result<Accounts, RcError> {
    let other = |what: String| RcError::Io(path.to_owned(), std::io::Error::other(what));
    let bytes = secret::read_protected(path, MAX_FILE).map_err(|error| other(error.to_string()))?;
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| other("expected UTF-8".to_owned()))?;
    let mut problems = Problems::default();
    let section = ipsec_conf::secrets(text, path, &mut problems);
    let secrets = secrets::read(&section, &mut problems);
    let accounts = accounts(secrets.iter());
    if problems.0.is_empty() && accounts.0.is_empty() {
        return Err(other("no user is in it; a line is: carol : EAP \"her password\"".to_owned()));
    }
    let problems: Vec<Remark> = problems.0;
    if problems.is_empty() { Ok(accounts) } else { Err(RcError::Lines(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{self, Command, RemoteSpec};

    fn remote(line: &str) -> Result<RemoteSpec, String> {
        let line = format!("ike remote -n gw -r 192.0.2.2 {line}");
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match command::parse(&words).map_err(|bad| bad.to_string())?.command {
            Command::AddRemote(spec) => Ok(*spec),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_side_that_starts_is_the_user() {
        let user = remote("-w -m EAP-MSCHAPV2 --eap-id carol -h pw").unwrap();
        let carol = Identity::Fqdn("carol".into());
        assert_eq!((&user.own_id, user.accept), (&carol, false));
        assert_eq!(
            user.eap,
            Some(EapSpec {
                role: Role::User(carol.clone()),
                methods: vec![Method::MsChapV2],
                beside: Beside::Certificate,
                radius: vec![],
                server: None
            })
        );
        let gateway = remote("-u -m EAP -g fqdn:gw -c gw.pem --eap-id *@example.org -h users").unwrap();
        let Some(EapSpec { role: Role::Authenticator { users, any_identity, .. }, methods, .. }) = gateway.eap else {
            panic!()
        };
        assert_eq!((users.to_string().as_str(), any_identity, methods.len()), ("*@example.org", true, 3));
        let user = remote("-w -m EAP-TLS --eap-id carol -c own --aaa-id aaa --eap-only").unwrap().eap.unwrap();
        assert_eq!((user.beside, user.server), (Beside::Nothing, Some(Identity::Fqdn("aaa".into()))));
        let gateway =
            remote("-u -m EAP-RADIUS -g fqdn:gw -c own -h secret --radius 192.0.2.9,[2001:db8::9]:1645").unwrap();
        let servers: Vec<String> = gateway.eap.unwrap().radius.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.9:1812", "[2001:db8::9]:1645"]);
        for (line, words) in [
            ("-w -u -m EAP -h pw -g fqdn:a", "with EAP the side that starts is the user"),
            ("-w -m EAP -g fqdn:a", "expected -h FILE with the password"),
            ("-w -m EAP -g fqdn:a -h pw -c own.pem", "a user of EAP has a password"),
            ("-u -m EAP -g fqdn:a -h pw", "expected -c FILES"),
            ("-z 1 -w -m EAP -g fqdn:a -h pw", "EAP is of IKEv2"),
            ("-w -m PSK --eap-id carol -g fqdn:a -h pw", "goes with -m EAP"),
            ("-w -m EAP-TLS -g fqdn:a -c own -h pw", "EAP-TLS has no password"),
            ("-w -m EAP-TLS -g fqdn:a", "expected -c FILES"),
            ("-w -m EAP-AKA -g fqdn:a -h pw", "expected EAP-MD5, EAP-GTC, EAP-MSCHAPV2, EAP-TLS, EAP-TTLS, EAP-PEAP"),
            ("-w -m EAP-MSCHAPV2 -g fqdn:a -h pw --eap-only", "only EAP-TLS and EAP-TTLS prove both sides"),
            ("-u -m EAP-TLS -g fqdn:a -c own --aaa-id fqdn:b", "with -u it is this host"),
            ("-u -m EAP-RADIUS -g fqdn:a -c own -h secret", "--radius ADDRESS"),
            ("-u -m EAP-RADIUS -g fqdn:a -c own --radius 192.0.2.9", "expected -h FILE"),
            ("-u -m EAP-RADIUS -g fqdn:a -c own -h secret --radius 192.0.2", "expected an address"),
            ("-w -m EAP-RADIUS -g fqdn:a -h secret --radius 192.0.2.9", "the side that asks"),
            ("-u -m EAP-TLS -g fqdn:a -c own --radius 192.0.2.9 -h secret", "-m EAP-RADIUS"),
            ("-w -m EPA -g fqdn:a -h pw", "did you mean EAP?"),
        ] {
            let error = remote(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn words_name_methods() {
        assert_eq!(methods("EAP-MSCHAPv2,eap-md5, gtc").unwrap(), [Method::MsChapV2, Method::Md5, Method::Gtc]);
        let error = methods("EAP-MD5,EAP-MSCHAP2").unwrap_err();
        assert_eq!((error.offset, error.message.contains("did you mean EAP-MSCHAPV2?")), (8, true), "{error:?}");
    }
}
