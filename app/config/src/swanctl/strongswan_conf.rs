//! What strongSwan has in `strongswan.conf`, beside a `swanctl.conf` or `ipsec.conf` or above it, and we have in connections:
//! switches of its daemon, and in `plugins.eap-radius` the RADIUS servers of `auth = eap-radius`. They are put where we have
//! them, unless a connection says otherwise. Nothing else is read there.

use std::cmp::Reverse;
use std::path::Path;

use super::parse;
use super::reader::{Problems, flag};
use super::tree::{At, Named, Section, Setting, Values};
use crate::remark::{FileError, Place, Remark};

/// The daemons whose settings they may be: what the first does not say, the second does.
const DAEMONS: [&str; 2] = ["charon-systemd", "charon"];

/// Switches of the daemon by the name that a connection has for them, too, and what no and yes are there.
const SWITCHES: [(&str, [&str; 2]); 2] =
    [("hash_and_url", ["no", "yes"]), ("full_transcript_auth", ["never", "allow"])];

/// One server, as written.
struct Server<'a> {
    at: &'a At,
    address: &'a str,
    secret: &'a [u8],
    authentication: &'a str,
    accounting: &'a str,
    preference: i64,
}

/// Puts what the file says into the connections that leave it to it.
pub(super) fn read(root: &mut Section, folder: &Path, problems: &mut Problems) {
    let above = folder.parent().into_iter();
    let mut places = std::iter::once(folder).chain(above).map(|folder| folder.join("strongswan.conf"));
    let Some(file) = places.find(|file| file.is_file()) else { return };
    let conf = match parse::load(&file) {
        Ok(conf) => conf,
        Err(FileError::Lines(remarks)) => return problems.0.extend(remarks),
        Err(error) => {
            let at = At { file: file.into(), place: Some(Place { line: 1, column: 1 }) };
            return problems.add(at.remark(error.to_string()));
        }
    };
    let daemons: Vec<&Section> = DAEMONS.iter().filter_map(|name| Some(&conf.section(name)?.section)).collect();
    for (name, words) in SWITCHES {
        if let Some(setting) = daemons.iter().find_map(|daemon| daemon.setting(name)) {
            problems.take(switch(root, setting, words));
        }
    }
    if wanting(root).next().is_none() {
        return;
    }
    let plugin = daemons.iter().find_map(|daemon| {
        let plugins = daemon.section("plugins")?;
        plugins.section.section("eap-radius")
    });
    let Some(plugin) = plugin else { return };
    match settings(plugin) {
        Ok(settings) => put(root, &settings),
        Err(Some(remark)) => problems.add(remark),
        // Its servers are missing, which is told where they are missed.
        Err(None) => {}
    }
}

/// Puts a switch into every connection without it.
fn switch(root: &mut Section, setting: &Setting, [no, yes]: [&str; 2]) -> Result<(), Remark> {
    let on = setting.text().and_then(|text| flag(text.trim()).map_err(|what| setting.wrong(what)))?;
    let value = Values::One(if on { yes } else { no }.into());
    for all in root.sections.iter_mut().filter(|named| named.name == "connections") {
        for connection in &mut all.section.sections {
            if connection.section.setting(&setting.name).is_none() {
                let (name, at) = (setting.name.clone(), setting.at.clone());
                connection.section.settings.push(Setting { name, values: value.clone(), at });
            }
        }
    }
    Ok(())
}

/// The sections with `auth = eap-radius` and no servers.
fn wanting(root: &Section) -> impl Iterator<Item = &Named> {
    let connections = root.section("connections").into_iter().flat_map(|all| &all.section.sections);
    connections.flat_map(|connection| &connection.section.sections).filter(|round| wants(round))
}

fn wants(round: &Named) -> bool {
    let radius = |setting: &Setting| setting.text().is_ok_and(|text| text.trim().eq_ignore_ascii_case("eap-radius"));
    round.name.starts_with("remote")
        && round.section.setting("auth").is_some_and(radius)
        && round.section.setting("radius").is_none()
}

/// What stands beside `auth`, and the secret.
struct Settings {
    beside: Vec<Setting>,
    secret: Named,
}

fn settings(plugin: &Named) -> Result<Settings, Option<Remark>> {
    let of = |named: &Named, name: &str| named.section.setting(name).is_some();
    let several = plugin.section.section("servers").into_iter().flat_map(|all| &all.section.sections);
    let mut servers = several
        .map(|named| server(named, "address"))
        .chain(of(plugin, "server").then(|| server(plugin, "server")))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Some)?;
    servers.sort_by_key(|server| Reverse(server.preference));
    let Some(first) = servers.first() else { return Err(None) };
    if let Some(other) = servers.iter().find(|server| server.secret != first.secret) {
        return Err(Some(other.at.remark("the servers of a connection have one secret")));
    }
    let yes = |section: Option<&Section>, name: &str| {
        let setting = section.and_then(|section| section.setting(name));
        setting
            .and_then(|setting| setting.text().ok())
            .is_some_and(|text| matches!(text.trim(), "yes" | "true" | "1" | "enabled"))
    };
    let dae = plugin.section.section("dae");
    if let Some(dae) = dae.filter(|dae| yes(Some(&dae.section), "enable")) {
        let why = "who may end sessions is named beside `auth`: radius_authorizers = ADDRESS, ...";
        return Err(Some(dae.at.remark(why)));
    }
    let setting = |name: &str, value: Vec<u8>| Setting {
        name: name.to_owned(),
        values: Values::One(value),
        at: first.at.clone(),
    };
    let list = |port: fn(&Server<'_>) -> String| servers.iter().map(port).collect::<Vec<_>>().join(",").into_bytes();
    let mut beside = vec![setting("radius", list(|server| at_port(server.address, server.authentication)))];
    if yes(Some(&plugin.section), "accounting") {
        beside.push(setting("radius_accounting", list(|server| at_port(server.address, server.accounting))));
    }
    // As it is, whatever it begins with.
    let digits: String = first.secret.iter().map(|octet| format!("{octet:02x}")).collect();
    let section = Section {
        settings: vec![setting("id", first.address.into()), setting("secret", format!("0x{digits}").into_bytes())],
        sections: Vec::new(),
    };
    let secret = Named { name: "ike-of-eap-radius".to_owned(), at: first.at.clone(), section };
    Ok(Settings { beside, secret })
}

fn text<'a>(named: &'a Named, name: &str, default: &'a str) -> Result<&'a str, Remark> {
    match named.section.setting(name) {
        Some(setting) => setting.text().map(str::trim),
        None => Ok(default),
    }
}

fn server<'a>(named: &'a Named, address: &str) -> Result<Server<'a>, Remark> {
    let needed = |name: &str| {
        let setting = named.section.setting(name);
        setting.ok_or_else(|| named.at.remark(format!("the option `{name}` of a RADIUS server is missing")))
    };
    let address = needed(address)?;
    let preference = text(named, "preference", "0")?;
    let authentication = text(named, "auth_port", text(named, "port", "1812")?)?;
    Ok(Server {
        at: &address.at,
        address: address.text()?.trim(),
        secret: needed("secret")?.bytes()?,
        authentication,
        accounting: text(named, "acct_port", "1813")?,
        preference: preference.parse().map_err(|_| named.at.remark("`preference`: expected a number"))?,
    })
}

fn at_port(address: &str, port: &str) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

fn put(root: &mut Section, settings: &Settings) {
    for connection in root.sections.iter_mut().filter(|named| named.name == "connections") {
        let rounds = connection.section.sections.iter_mut().flat_map(|connection| &mut connection.section.sections);
        for round in rounds.filter(|round| wants(round)) {
            round.section.settings.extend(settings.beside.iter().cloned());
        }
    }
    let secrets = root.open("secrets", &settings.secret.at);
    secrets.sections.push(settings.secret.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, conf: &str) -> Result<Section, String> {
        let folder = std::env::temp_dir().join(format!("ravelin-strongswan-conf-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("swanctl")).unwrap();
        std::fs::write(folder.join("strongswan.conf"), conf).unwrap();
        let file = folder.join("swanctl/swanctl.conf");
        let text = "connections {\n rw {\n remote {\n auth = eap-radius\n }\n other {\n }\n }\n own {\n hash_and_url = own\n \
                    full_transcript_auth = own\n }\n}\n";
        let mut root = parse::parse(text, &file).unwrap();
        let mut problems = Problems::default();
        super::read(&mut root, &folder.join("swanctl"), &mut problems);
        std::fs::remove_dir_all(&folder).unwrap();
        match problems.0.as_slice() {
            [] => Ok(root),
            problems => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    fn round(root: &Section, name: &str) -> Option<String> {
        let connection = &root.section("connections")?.section.sections[0];
        Some(connection.section.section("remote")?.section.setting(name)?.text().unwrap().to_owned())
    }

    #[test]
    fn servers_of_the_plugin_stand_beside_auth() {
        let one = "charon-systemd {\n plugins {\n eap-radius {\n secret = 0xgv6\n server = 10.1.0.10\n accounting = yes\n }\n }\n}\n";
        let root = read("one", one).unwrap();
        assert_eq!(round(&root, "radius").as_deref(), Some("10.1.0.10:1812"));
        assert_eq!(round(&root, "radius_accounting").as_deref(), Some("10.1.0.10:1813"));
        let secret = &root.section("secrets").unwrap().section.section("ike-of-eap-radius").unwrap().section;
        assert_eq!(secret.setting("id").unwrap().text(), Ok("10.1.0.10"));
        assert_eq!(secret.setting("secret").unwrap().text(), Ok("0x3078677636"));

        let two = "charon {\n plugins {\n eap-radius {\n servers {\n a {\n address = 10.1.0.1\n secret = s\n }\n b {\n \
                   address = fec1::1\n secret = s\n auth_port = 1645\n preference = 9\n }\n }\n }\n }\n}\n";
        let root = read("two", two).unwrap();
        assert_eq!(round(&root, "radius").as_deref(), Some("[fec1::1]:1645,10.1.0.1:1812"));
        assert_eq!(round(&root, "radius_accounting"), None);
    }

    #[test]
    fn what_the_plugin_has_and_we_have_elsewhere_is_told() {
        let plugin = |text: &str| format!("charon {{\n plugins {{\n eap-radius {{\n{text}\n }}\n }}\n}}\n");
        let refused = |name: &str, text: &str| read(name, &plugin(text)).unwrap_err();
        assert!(refused("secret", "server = 10.1.0.1").contains("`secret` of a RADIUS server is missing"));
        let dae = "server = 10.1.0.1\nsecret = s\ndae {\n enable = yes\n }";
        assert!(refused("dae", dae).contains("strongswan.conf:6:1: who may end sessions"), "{}", refused("dae2", dae));
        let unlike =
            "servers {\n a {\n address = 10.1.0.1\n secret = s\n }\n b {\n address = 10.1.0.2\n secret = t\n }\n }";
        assert!(refused("unlike", unlike).contains("have one secret"));
        assert!(refused("syntax", "server = {").contains("strongswan.conf"));
        assert_eq!(round(&read("none", "charon {\n}\n").unwrap(), "radius"), None);
    }

    #[test]
    fn switches_of_the_daemon_are_those_of_every_connection_without_its_own() {
        let conf =
            "charon {\n hash_and_url = no\n full_transcript_auth = no\n}\ncharon-systemd {\n hash_and_url = yes\n}\n";
        let root = read("switches", conf).unwrap();
        let said = |name: &str| {
            let all = &root.section("connections").unwrap().section.sections;
            let texts = all.iter().map(|it| it.section.setting(name).map(|setting| setting.text().unwrap().to_owned()));
            texts.collect::<Vec<_>>()
        };
        let both = |word: &str| vec![Some(word.to_owned()), Some("own".to_owned())];
        assert_eq!((said("hash_and_url"), said("full_transcript_auth")), (both("yes"), both("never")));
        let on = read("on", "charon {\n full_transcript_auth = yes\n}\n").unwrap();
        let first = &on.section("connections").unwrap().section.sections[0].section;
        assert_eq!(first.setting("full_transcript_auth").unwrap().text(), Ok("allow"));
        let why = read("neither", "charon {\n hash_and_url = perhaps\n}\n").unwrap_err();
        assert!(why.contains("strongswan.conf:2:17: invalid value for: hash_and_url, expected yes or no"), "{why}");
    }
}
