//! A RADIUS server beside Ravelin or its peer: Debian's FreeRADIUS with a configuration of its own, in the namespace of that side.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::hostapd;
use crate::lab::{RAVELIN, SWAN};
use crate::plan::SECRET;
use crate::process::{Daemon, Namespace, wait_for};

/// The program, which the lab needs for cases with a line `radius` about methods that it serves.
const PROGRAM: &str = "freeradius";

/// It knows users by their passwords and whoever has a certificate of its authority, it drops what has no
/// Message-Authenticator, and it writes down every record of an account.
const CONFIGURATION: &str = r#"
prefix = /usr
libdir = /usr/lib/freeradius
confdir = FOLDER
run_dir = FOLDER
db_dir = FOLDER
logdir = FOLDER
pidfile = FOLDER/pid
max_requests = 1024
log {
  destination = stdout
  auth = yes
}
security {
  allow_core_dumps = no
}
client ravelin {
  ipaddr = 0.0.0.0/0
  secret = "SECRET"
  require_message_authenticator = yes
}
modules {
  pap {
  }
  mschap {
  }
  detail {
    filename = FOLDER/detail
    permissions = 0600
  }
  eap {
    default_eap_type = DEFAULT
    tls-config lab {
      certificate_file = CERTIFICATE
      private_key_file = KEY
      ca_file = AUTHORITY
      tls_min_version = "1.2"
      tls_max_version = "1.3"
      ecdh_curve = ""
    }
    md5 {
    }
    mschapv2 {
    }
    tls {
      tls = lab
    }
    ttls {
      tls = lab
      default_eap_type = INNER
      use_tunneled_reply = yes
      virtual_server = lab
    }
    peap {
      tls = lab
      default_eap_type = INNER
      use_tunneled_reply = yes
      virtual_server = lab
    }
  }
}
server lab {
  listen {
    type = auth
    ipaddr = *
    port = 1812
  }
  listen {
    type = acct
    ipaddr = *
    port = 1813
  }
  authorize {
    USERS
    mschap
    eap {
      ok = return
    }
    pap
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
    Auth-Type MS-CHAP {
      mschap
    }
    eap
  }
  post-auth {
    REPLY
  }
  accounting {
    detail
  }
}
"#;

/// The server of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radius {
    /// By which method it asks first.
    pub method: String,
    /// What it says in an Access-Accept, each `NAME=VALUE`.
    pub reply: Vec<String>,
    /// Whether it is the peer that relays to it.
    pub of_peer: bool,
}

impl Radius {
    /// The program.
    pub fn program(&self) -> &'static str {
        if hostapd::serves(&self.method) { hostapd::PROGRAM } else { PROGRAM }
    }
}

/// Where the server of a case writes down records of accounts.
pub fn detail(folder: &Path) -> PathBuf {
    folder.join("radius/detail")
}

/// Where it says what it does.
pub fn log(folder: &Path) -> PathBuf {
    folder.join("radius/log")
}

/// A user of a server.
pub struct User<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its password.
    pub password: &'a str,
    /// What it is told, each `NAME=VALUE`.
    pub reply: &'a [&'a str],
}

/// A FreeRADIUS.
pub struct Server<'a> {
    /// Where it runs.
    pub host: &'a Namespace,
    /// Where its configuration and its logs lie.
    pub folder: &'a Path,
    /// What clients know.
    pub secret: &'a str,
    /// Its certificate, the key of that, and the authority of users.
    pub papers: [PathBuf; 3],
    /// By which method it asks first, and inside TLS.
    pub methods: [&'a str; 2],
    /// Who may come.
    pub users: &'a [User<'a>],
    /// What it says in an Access-Accept, each `NAME=VALUE`.
    pub reply: &'a [String],
}

impl Server<'_> {
    /// Starts it.
    pub fn start(&self) -> Result<Daemon> {
        let Server { folder, papers: [certificate, key, authority], methods: [method, inner], .. } = self;
        fs::create_dir_all(folder)?;
        let fill = [
            ("FOLDER", folder.display().to_string()),
            ("CERTIFICATE", certificate.display().to_string()),
            ("KEY", key.display().to_string()),
            ("AUTHORITY", authority.display().to_string()),
            ("USERS", self.users.iter().map(User::known).collect()),
            ("SECRET", self.secret.to_owned()),
            ("DEFAULT", (*method).to_owned()),
            ("INNER", (*inner).to_owned()),
            ("REPLY", reply(self.reply.iter().map(String::as_str))),
        ];
        let text = fill.iter().fold(CONFIGURATION.to_owned(), |text, (name, value)| text.replace(name, value));
        let file = folder.join("radiusd.conf");
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        let log = folder.join("log");
        let mut command = self.host.command(PROGRAM);
        command.args(["-f", "-x", "-l", "stdout", "-n", "radiusd", "-d"]).arg(folder);
        let mut daemon = Daemon::start(&mut command, &log)?;
        wait_for(20, "FreeRADIUS to be ready", || {
            daemon.check()?;
            let said = fs::read_to_string(&log)?;
            ensure!(said.contains("Ready to process requests"), "not yet");
            Ok(())
        })
        .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(daemon)
    }
}

impl User<'_> {
    fn known(&self) -> String {
        let User { name, password, .. } = self;
        let reply = reply(self.reply.iter().copied());
        format!(
            "if (&User-Name == \"{name}\") {{\nupdate control {{\nCleartext-Password := \"{password}\"\n}}\n{reply}\n}}\n"
        )
    }
}

/// Starts the one of a case; certificates are below `folder`, as [`papers`](crate::papers) wrote them. It knows carol by the secret,
/// and its certificate is that of its side.
pub fn start(folder: &Path, radius: &Radius, helper: &Path) -> Result<Vec<Daemon>> {
    let own = folder.join("radius");
    let host = if radius.of_peer { &SWAN } else { &RAVELIN };
    let side = if radius.of_peer { "swan" } else { "ravelin" };
    fs::create_dir_all(&own)?;
    if hostapd::serves(&radius.method) {
        return Ok(hostapd::start(host, &own, helper)?.into());
    }
    let pki = folder.join("pki");
    let server = Server {
        host,
        folder: &own,
        secret: SECRET,
        papers: [pki.join(format!("{side}.pem")), pki.join(format!("{side}.key")), pki.join("ca.pem")],
        methods: [&radius.method, "mschapv2"],
        users: &[User { name: "carol", password: SECRET, reply: &[] }],
        reply: &radius.reply,
    };
    Ok(vec![server.start()?])
}

fn reply<'a>(attributes: impl Iterator<Item = &'a str>) -> String {
    let lines: String = attributes
        .filter_map(|it| it.split_once('='))
        .map(|(name, value)| format!("{name} := \"{value}\"\n"))
        .collect();
    if lines.is_empty() { lines } else { format!("update reply {{\n{lines}}}") }
}
