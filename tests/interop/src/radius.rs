//! A RADIUS server beside Ravelin or its peer: Debian's FreeRADIUS with a configuration of its own, in the namespace of that side.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::hostapd;
use crate::lab::{RAVELIN, SWAN};
use crate::plan::SECRET;
use crate::process::{Daemon, wait_for};

/// The program, which the lab needs for cases with a line `radius` about methods that it serves.
const PROGRAM: &str = "freeradius";

/// It knows carol by her password and whoever has a certificate of the lab's authority, it drops what has no
/// Message-Authenticator, and it writes down every record of an account. Its certificate is that of its side.
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
      certificate_file = PKI/CERTIFICATE.pem
      private_key_file = PKI/CERTIFICATE.key
      ca_file = PKI/ca.pem
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
      default_eap_type = mschapv2
      use_tunneled_reply = yes
      virtual_server = lab
    }
    peap {
      tls = lab
      default_eap_type = mschapv2
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
    if (&User-Name == "carol") {
      update control {
        Cleartext-Password := "SECRET"
      }
    }
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

/// Starts it; certificates are below `folder`, as [`papers`](crate::papers) wrote them.
pub fn start(folder: &Path, radius: &Radius, helper: &Path) -> Result<Vec<Daemon>> {
    let own = folder.join("radius");
    let host = if radius.of_peer { &SWAN } else { &RAVELIN };
    let certificate = if radius.of_peer { "swan" } else { "ravelin" };
    fs::create_dir_all(&own)?;
    if hostapd::serves(&radius.method) {
        return Ok(hostapd::start(host, &own, helper)?.into());
    }
    let fill = [
        ("FOLDER", own.display().to_string()),
        ("CERTIFICATE", certificate.to_owned()),
        ("PKI", folder.join("pki").display().to_string()),
        ("SECRET", SECRET.to_owned()),
        ("DEFAULT", radius.method.clone()),
        ("REPLY", reply(&radius.reply)),
    ];
    let text = fill.iter().fold(CONFIGURATION.to_owned(), |text, (name, value)| text.replace(name, value));
    let file = own.join("radiusd.conf");
    fs::write(&file, text)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let log = log(folder);
    let mut command = host.command(PROGRAM);
    command.args(["-f", "-x", "-l", "stdout", "-n", "radiusd", "-d"]).arg(&own);
    let mut daemon = Daemon::start(&mut command, &log)?;
    wait_for(20, "FreeRADIUS to be ready", || {
        daemon.check()?;
        let said = fs::read_to_string(&log)?;
        ensure!(said.contains("Ready to process requests"), "not yet");
        Ok(())
    })
    .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
    Ok(vec![daemon])
}

fn reply(attributes: &[String]) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let lines =
        attributes.iter().filter_map(|it| it.split_once('=')).map(|(name, value)| format!("{name} := \"{value}\"\n"));
    format!("update reply {{\n{}}}", lines.collect::<String>())
}
