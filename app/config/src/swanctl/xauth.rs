//! A round of a connection of IKEv1 in which one side logs in by name and password (XAuth).

use ravelin_ike::config::{IkeVersion, V1};

use super::reader::{Problems, Reader};
use super::tree::Named;
use crate::spec::XauthSpec;

/// Who logs in, and whether that is all that he proves (hybrid mode).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Login {
    ours: bool,
    user: Option<String>,
    alone: bool,
}

/// Whether a section is such a round.
pub(super) fn is_login(named: &Named) -> bool {
    let word = named.section.setting("auth").and_then(|setting| setting.text().ok());
    word.is_some_and(|word| word.trim().to_ascii_lowercase().starts_with("xauth"))
}

/// The login of a connection, if it has one.
pub(super) fn read(connection: &Named, problems: &mut Problems) -> Option<Login> {
    let mut rounds = connection.section.sections.iter().filter(|named| is_login(named));
    let named = rounds.next()?;
    if let Some(second) = rounds.next() {
        problems.add(second.at.remark("only one side logs in, and once"));
    }
    let ours = named.name.starts_with("local");
    let side = if ours { "local" } else { "remote" };
    let mut reader = Reader::new(&named.section, &named.at, problems);
    reader.only("auth", &["xauth", "xauth-generic"], "users log in by name and password, which are among the secrets");
    reader.value("round", |text| text.parse::<u32>().map_err(|_| "expected a number".to_owned()));
    let user = reader.value("xauth_id", |text| Ok(text.to_owned())).filter(|user| ours || user != "%any");
    let alone = !connection.section.sections.iter().any(|other| other.name.starts_with(side) && !is_login(other));
    match alone {
        // It is read with the side.
        true => drop(reader.setting("id")),
        false => reader.refuse(&["id"], "the identity is that of the other round"),
    }
    reader.finish(&[]);
    Some(Login { ours, user, alone })
}

impl Login {
    /// The version with it.
    ///
    /// # Errors
    /// When it is another one than IKEv1.
    pub(super) fn version(&self, version: IkeVersion) -> Result<IkeVersion, String> {
        match version {
            IkeVersion::V1(v1) => Ok(IkeVersion::V1(V1 { hybrid: self.alone, ..v1 })),
            IkeVersion::V2 => Err("`auth = xauth` is of IKEv1: say version = 1, or leave version out".to_owned()),
        }
    }

    /// Who logs in: we, who are who we are in phase 1 where no `xauth_id` says otherwise, or the peer, who is whoever has a
    /// secret.
    pub(super) fn spec(self, own_id: &str) -> XauthSpec {
        match self.ours {
            true => XauthSpec::Login(self.user.unwrap_or_else(|| own_id.to_owned())),
            false => self.user.map_or(XauthSpec::Users(None), XauthSpec::User),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ravelin_ike::config::IkeVersion;

    use crate::papers::Loaded;
    use crate::spec::{RemoteSpec, XauthSpec};
    use crate::swanctl::{contents, ipsec_conf, parse};

    fn remote(text: &str) -> Result<RemoteSpec, String> {
        let root = parse::parse(text, Path::new("f")).and_then(|root| contents(&root, Loaded::default()));
        let mut contents = root.map_err(|error| error.to_string())?;
        Ok(contents.connections.remove(0).remote.unwrap())
    }

    fn connection(version: u8, rounds: &str) -> Result<RemoteSpec, String> {
        remote(&format!("connections {{\n t {{\n version = {version}\n remote_addrs = 192.0.2.2\n {rounds}\n }}\n}}\n"))
    }

    fn hybrid(spec: &RemoteSpec) -> bool {
        matches!(&spec.version, IkeVersion::V1(v1) if v1.hybrid)
    }

    #[test]
    fn one_side_logs_in_after_phase_1() {
        let both = "local {\n auth = psk\n id = carol@lab\n }\n remote {\n auth = psk\n id = gw.lab\n }\n";
        let client = connection(1, &format!("{both} local-2 {{\n auth = xauth\n xauth_id = carol\n }}")).unwrap();
        assert_eq!((&client.xauth, hybrid(&client)), (&Some(XauthSpec::Login("carol".to_owned())), false));
        let client = connection(1, &format!("{both} local-2 {{\n auth = xauth\n }}")).unwrap();
        assert_eq!(client.xauth, Some(XauthSpec::Login("carol@lab".to_owned())), "the identity of phase 1");
        let server = connection(1, &format!("{both} remote-xauth {{\n round = 2\n auth = xauth-generic\n }}")).unwrap();
        assert_eq!((&server.xauth, hybrid(&server)), (&Some(XauthSpec::Users(None)), false));
        let dave = connection(1, &format!("{both} remote-2 {{\n auth = xauth\n xauth_id = dave\n }}")).unwrap();
        assert_eq!(dave.xauth, Some(XauthSpec::User("dave".to_owned())));
        let alone = "local {\n auth = pubkey\n id = gw.lab\n }\n remote {\n auth = xauth\n id = *@lab\n }\n";
        assert!(hybrid(&connection(1, alone).unwrap()));
        for (version, rounds, words) in [
            (2, format!("{both} local-2 {{\n auth = xauth\n }}"), "is of IKEv1: say version = 1"),
            (1, format!("{both} local-2 {{\n auth = xauth\n }}\n remote-2 {{\n auth = xauth\n }}"), "only one side"),
            (1, format!("{both} local-2 {{\n auth = xauth-pam\n }}"), "users log in by name and password"),
            (1, format!("{both} local-2 {{\n auth = xauth\n id = x\n }}"), "that of the other round"),
            (1, alone.replace("pubkey", "psk"), "takes auth = pubkey on the other one"),
            (2, format!("{both} pull = no"), "`pull = no` is of IKEv1"),
        ] {
            let why = connection(version, &rounds).unwrap_err();
            assert!(why.contains(words), "{rounds}: {why}");
        }
    }

    #[test]
    fn the_old_files_have_several_words_for_it() {
        let read = |conf: &str| {
            let conf = format!("conn t\n left=192.0.2.1\n right=192.0.2.2\n keyexchange=ikev1\n{conf} auto=add\n");
            let root = ipsec_conf::parse((&conf, Path::new("ipsec.conf")), None, &|_| false);
            let mut contents = root.and_then(|(root, _)| contents(&root, Loaded::default())).unwrap();
            contents.connections.remove(0).remote.unwrap()
        };
        let login = Some(XauthSpec::Login("carol".to_owned()));
        let carol = " xauth_identity=carol\n";
        assert_eq!(read(&format!(" authby=psk\n leftauth2=xauth\n{carol}")).xauth, login);
        assert_eq!(read(&format!(" authby=xauthpsk\n{carol}")).xauth, login);
        let hybrid = read(&format!(" leftauth=xauth\n rightauth=pubkey\n{carol}"));
        assert_eq!(hybrid.xauth, login);
        assert!(matches!(hybrid.version, IkeVersion::V1(v1) if v1.hybrid));
        let server = read(" authby=xauthrsasig\n xauth=server\n modeconfig=push\n");
        assert_eq!(server.xauth, Some(XauthSpec::Users(None)));
        assert!(matches!(server.version, IkeVersion::V1(v1) if v1.push && !v1.hybrid));
    }
}
