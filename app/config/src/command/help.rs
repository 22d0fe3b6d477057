//! What `--help` and the manual pages say of a command behind its options: how its values are written, and examples.
//!
//! A test of the program reads every example with the grammar.

/// An example: what it is for, and the line.
type Example = [&'static str; 2];

const TIME: &str = "TIME: seconds, or with a unit: 500ms, 90s, 5m, 2h, 1d";
const BYTES: &str = "BYTES of a lifetime: with k, M, G or T in steps of 1024, or without";
const PACKETS: &str = "PACKETS of a lifetime: with k, M, G or T in steps of 1000, or without";
const LIST: &str = "LIST of algorithms: names in any case, commas between; `ravelin algorithms` shows them all";

/// What stands behind the options of a command.
pub struct Help {
    values: &'static [&'static str],
    examples: &'static [Example],
}

impl Help {
    /// Examples alone.
    pub const fn of(examples: &'static [Example]) -> Self {
        Help { values: &[], examples }
    }

    /// The same for a command that takes a time.
    #[must_use]
    pub const fn with_time(self) -> Self {
        Help { values: &[TIME], ..self }
    }
}

impl From<Help> for clap::builder::StyledStr {
    fn from(help: Help) -> Self {
        let values: String = help.values.iter().map(|value| format!("\n  {value}")).collect();
        let examples: String = help.examples.iter().map(|[what, line]| format!("\n  # {what}\n  {line}")).collect();
        let values = if values.is_empty() { values } else { format!("Values:{values}\n\n") };
        format!("{values}Examples:{examples}").into()
    }
}

pub(super) const POLICY: Help = Help {
    values: &[TIME, BYTES, PACKETS, LIST],
    examples: &[
        [
            "Protect TCP between two hosts",
            "ravelin ipsec policy -n policy1 -g remoteINFO -m transport -p tcp -r 10.0.0.78 -s 10.0.0.77 -d 10.0.0.78",
        ],
        [
            "Protect what goes between the networks of two gateways, and negotiate at once",
            "ravelin ipsec policy -n net -g office -m tunnel -r 192.0.2.2 -s 10.1.0.0/16 -d 10.2.0.0/16 --start now",
        ],
        [
            "Let SSH come in and its answers leave in the clear, before policies of a lower priority are asked",
            "ravelin ipsec policy -n ssh --action bypass -p tcp -s any,22 -d any -l 3",
        ],
        ["View one", "ravelin ipsec policy -v -n net"],
        ["Delete it", "ravelin ipsec policy -x net"],
    ],
};

pub(super) const REMOTE: Help = Help {
    values: &[TIME, LIST],
    examples: &[
        [
            "Both sides may begin, with a pre-shared key",
            "ravelin ike remote -n remoteINFO -w -u -r 10.0.0.78 -f ipv4:10.0.0.78 -g ipv4:10.0.0.77 -h secret_file.txt",
        ],
        [
            "With certificates that `ce x509` has added",
            "ravelin ike remote -n office -w -u -m RSASIG -r 192.0.2.2 -f fqdn:office.example.org -g asn1dn: -c own.pem",
        ],
        [
            "Users with passwords, from wherever they are, who get addresses of a pool",
            "ravelin ike remote -n users -u -m EAP-MSCHAPV2 -r any -f any -g fqdn:vpn.example.org -c own.pem -h users --pool rw",
        ],
        [
            "A peer that has nothing newer than IKEv1",
            "ravelin ike remote -n old -z 1 -w -r 192.0.2.9 -g fqdn:here.example.org -h secret_file.txt",
        ],
        ["View one with what was done with it", "ravelin ike remote -v -n office"],
        ["Delete all; security associations that are in use stay", "ravelin ike remote -x ALLREMOTES"],
    ],
};

pub(super) const ADDSA: Help = Help::of(&[
    [
        "ESP with AES128-CBC and HMAC-SHA-2-256, with keys from files",
        "ravelin ipsec addsa -m transport -p tcp -r 10.0.0.78 -s 10.0.0.77 -d 10.0.0.78 -w 0x1001 -x 0x2002 \
         -e AES128-CBC -f file:encr.in -g file:encr.out -a HMAC-SHA-2-256 -b file:auth.in -c file:auth.out",
    ],
    ["Delete it", "ravelin ipsec delsa -p tcp -s 10.0.0.77 -d 10.0.0.78"],
]);

pub(super) const DELSA: Help =
    Help::of(&[["Delete what addsa added for this traffic", "ravelin ipsec delsa -p tcp -s 10.0.0.77 -d 10.0.0.78"]]);

pub(super) const IPSEC_NETSTAT: Help = Help::of(&[
    ["Security associations and policies", "ravelin ipsec netstat"],
    ["Everything that is counted, dropped packets included", "ravelin ipsec netstat -a"],
    ["For a program", "ravelin ipsec netstat -c --json"],
]);

pub(super) const IPSEC_FLUSH: Help = Help::of(&[
    ["Delete all security associations; packets ask for new ones", "ravelin ipsec flush -c"],
    ["Delete policies too: nothing is protected any more", "ravelin ipsec flush -a"],
]);

pub(super) const POOL: Help = Help::of(&[
    [
        "Addresses for users, a DNS server for them, and the network that they get to",
        "ravelin ike pool -n rw -a 10.3.0.0/24 --dns 10.1.0.53 --subnet 10.1.0.0/16",
    ],
    ["Who has which address", "ravelin ike pool -v"],
]);

pub(super) const IKE_NETSTAT: Help = Help::of(&[
    ["IKE SAs, what they protect, and remotes", "ravelin ike netstat"],
    ["IKE SAs of IKEv2", "ravelin ike netstat -p 3"],
    ["One remote", "ravelin ike netstat -r -n remoteINFO"],
]);

pub(super) const IKE_FLUSH: Help = Help::of(&[
    ["Delete all IKE SAs of IKEv2", "ravelin ike flush -p 3"],
    ["Delete one remote", "ravelin ike flush -r -n remoteINFO"],
    ["Delete all IKE SAs and all remotes", "ravelin ike flush"],
]);

pub(super) const COMMANDS: Help = Help::of(&[
    ["Keep the configuration for the next start", "ravelin ike commands -f ike_rc"],
    ["Print it", "ravelin ike commands -f -"],
]);

pub(super) const RELOAD: Help = Help::of(&[
    ["What would change if the files of the start were read again", "ravelin reload --dry-run"],
    ["Change it; `reload` and `ike reload` are the same", "ravelin ike reload"],
]);

pub(super) const DEBUG: Help = Help::of(&[
    ["Every IKE message, field by field", "ravelin ike debug -t"],
    ["The same with what the daemon makes of them, and nothing secret", "ravelin ike debug -t -d --show public"],
]);

pub(super) const INITIATE: Help =
    Help::of(&[["Negotiate, and say what came of it", "ravelin ike initiate policy1"]]).with_time();

pub(super) const REKEY: Help = Help::of(&[
    ["The IKE SA with a remote", "ravelin ike rekey remoteINFO"],
    ["The SA of a policy", "ravelin ike rekey --child policy1"],
])
.with_time();

pub(super) const TERMINATE: Help = Help::of(&[
    ["The IKE SA with a remote, and what it protects", "ravelin ike terminate remoteINFO"],
    ["The SA of a policy", "ravelin ike terminate --child policy1"],
])
.with_time();

pub(super) const CALL: Help =
    Help::of(&[["Lines like those of an ike_rc, for a daemon that runs", "ravelin call more.txt"]]);

pub(super) const WHY: Help = Help::of(&[
    ["By the name of a remote or of a policy", "ravelin why remoteINFO"],
    ["By the address of a peer", "ravelin why 10.0.0.78"],
]);

pub(super) const DIFF: Help = Help::of(&[["`+` is missing, `~` differs, `-` is too much", "ravelin diff"]]);

pub(super) const X509: Help = Help::of(&[
    ["Whom to trust", "ravelin ce x509 -a ca.pem"],
    ["Our own certificate and its key", "ravelin ce x509 -a own.pem -k own.key"],
    ["Would a peer with this certificate be let in?", "ravelin ce x509 --verify peer.pem"],
]);

pub(super) const VTI_ADD: Help = Help::of(&[
    ["For policies with --interface vti20", "ravelin vti add vti20 --address 10.9.0.1/30 --mtu 1400"],
    ["For policies with --if-id 42", "ravelin vti add vti22 --if-id 42"],
]);

pub(super) const VTI_SHOW: Help = Help::of(&[["All of them", "ravelin vti show"]]);

pub(super) const VTI_DEL: Help = Help::of(&[["Remove one", "ravelin vti del vti20"]]);

pub(super) const SETKEY: Help = Help::of(&[
    ["Carry out a script", "ravelin setkey -f /etc/ipsec-tools.conf"],
    ["List security associations", "ravelin setkey -D"],
    ["List policies", "ravelin setkey -D -P"],
]);
