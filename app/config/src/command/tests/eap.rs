//! EAP in `ike remote`.

use std::net::IpAddr;

use ravelin_eap::Method;

use super::*;
use crate::spec::RadiusSpec;

fn remote(line: &str) -> Result<RemoteSpec, String> {
    let line = format!("ike remote -n gw -r 192.0.2.2 {line}");
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match parse(&words).map_err(|bad| bad.to_string())?.command {
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
            radius: RadiusSpec::default(),
            server: None,
            restrictions: Default::default(),
            revocation: Default::default()
        })
    );
    let gateway = remote("-u -m EAP -g fqdn:gw -c gw.pem --eap-id *@example.org -h users").unwrap();
    let Some(EapSpec { role: Role::Authenticator { users, any_identity, .. }, methods, .. }) = gateway.eap else {
        panic!()
    };
    assert_eq!((users.to_string().as_str(), any_identity, methods.len()), ("*@example.org", true, 3));
    let user = remote("-w -m EAP-TLS --eap-id carol -c own --aaa-id aaa --eap-only").unwrap().eap.unwrap();
    assert_eq!((user.beside, user.server), (Beside::Nothing, Some(Identity::Fqdn("aaa".into()))));
    let gateway = remote("-u -m EAP-TLS -g fqdn:gw -c own --revocation strict").unwrap();
    assert_eq!(gateway.eap.unwrap().revocation, ravelin_pki::Demand::Strict);
    let gateway = remote("-u -m EAP-AKA,EAP-SIM -g fqdn:gw -h users --eap-only").unwrap();
    assert!(gateway.signature.unwrap().own.is_empty());
    let gateway = remote("-u -m EAP-RADIUS -g fqdn:gw -c own -h secret --radius 192.0.2.9,[2001:db8::9]:1645").unwrap();
    let servers: Vec<String> = gateway.eap.unwrap().radius.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.9:1812", "[2001:db8::9]:1645"]);
    let accounts = "--radius-accounting 192.0.2.9,192.0.2.8:1646 --radius-authorizers 192.0.2.7,2001:db8::7";
    let gateway =
        remote(&format!("-u -m EAP-RADIUS -g fqdn:gw -c own -h secret --radius 192.0.2.9 {accounts}")).unwrap();
    let radius = gateway.eap.unwrap().radius;
    let servers: Vec<String> = radius.accounting.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.9:1813", "192.0.2.8:1646"]);
    assert_eq!(radius.authorizers, ["192.0.2.7", "2001:db8::7"].map(|address| address.parse::<IpAddr>().unwrap()));
    for (line, words) in [
        ("-u -m EAP -g fqdn:a -c own -h pw --radius-accounting 192.0.2.9", "say --radius, too"),
        ("-u -m EAP -g fqdn:a -c own -h pw --radius-authorizers 192.0.2.9", "say --radius, too"),
        ("-u -m PSK -g fqdn:a -h pw --radius-authorizers 192.0.2.9", "it goes with -m EAP-TLS, EAP-RADIUS"),
        ("-u -m EAP -g fqdn:a -c own -h pw --user-groups staff", "say --radius, too"),
        ("-w -u -m EAP -h pw -g fqdn:a", "with EAP the side that starts is the user"),
        ("-w -m EAP -g fqdn:a", "expected -h FILE with the password"),
        ("-w -m EAP -g fqdn:a -h pw -c own.pem", "a user of EAP has a password"),
        ("-u -m EAP -g fqdn:a -h pw", "expected -c FILES"),
        ("-z 1 -w -m EAP -g fqdn:a -h pw", "EAP is of IKEv2"),
        ("-w -m PSK --eap-id carol -g fqdn:a -h pw", "goes with -m EAP"),
        ("-w -m EAP-TLS -g fqdn:a -c own -h pw", "EAP-TLS has no password"),
        ("-w -m EAP-TLS -g fqdn:a", "expected -c FILES"),
        (
            "-w -m EAP-FAST -g fqdn:a -h pw",
            "expected EAP-MD5, EAP-GTC, EAP-MSCHAPV2, EAP-TLS, EAP-TTLS, EAP-TTLS-PAP, EAP-PEAP, EAP-SIM, EAP-AKA, EAP-AKA-PRIME",
        ),
        ("-w -m EAP-MSCHAPV2 -g fqdn:a -h pw --eap-only", "EAP-MSCHAPV2 does not prove both sides"),
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
fn who_the_user_is_and_who_knows_him_is_written_back() {
    for line in [
        "-w -m EAP-MSCHAPV2,EAP-GTC --eap-id carol -h pw",
        "-w -m EAP-AKA-PRIME,EAP-AKA,EAP-SIM --eap-id 0262010000000001@example.org -h sim --eap-only",
        "-w -m EAP-TLS --eap-id carol -c own --aaa-id fqdn:aaa --eap-only",
        "-u -m EAP -g fqdn:gw -c gw.pem --eap-id *@example.org -h users",
        "-u -m EAP-MD5 -g fqdn:gw -f fqdn:box -c gw.pem -h users",
        "-u -m EAP-RADIUS -g fqdn:gw -c own -h secret --radius 192.0.2.9,[2001:db8::9]:1645 --radius-accounting 192.0.2.9 \
         --radius-authorizers 192.0.2.7,2001:db8::7 --user-groups staff,guests",
    ] {
        let spec = remote(line).unwrap();
        let written = spec.line().arguments().join(" ");
        let Ok(Command::AddRemote(again)) = parse(spec.line().arguments()).map(|it| it.command) else {
            panic!("{written}")
        };
        assert_eq!(*again, spec, "{written}");
    }
}
