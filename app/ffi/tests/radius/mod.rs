//! Debian's FreeRADIUS beside a test, with a configuration of its own.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It knows carol, lets her in for a minute and forty seconds, and drops what has no Message-Authenticator.
const CONFIGURATION: &str = r#"
libdir = /usr/lib/freeradius
confdir = FOLDER
run_dir = FOLDER
db_dir = FOLDER
logdir = FOLDER
pidfile = FOLDER/pid
max_requests = 1024
client ravelin {
  ipaddr = 127.0.0.1
  secret = "shared with the server"
  require_message_authenticator = yes
}
modules {
  mschap {
  }
  eap {
    default_eap_type = mschapv2
    mschapv2 {
    }
  }
}
server lab {
  listen {
    type = auth
    ipaddr = 127.0.0.1
    port = PORT
  }
  authorize {
    if (&User-Name == "carol") {
      update control {
        Cleartext-Password := "her password"
      }
    }
    mschap
    eap
  }
  authenticate {
    Auth-Type MS-CHAP {
      mschap
    }
    eap
  }
  post-auth {
    update reply {
      Session-Timeout := 100
    }
  }
}
"#;

/// Ends with the test.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// `None`: there is no FreeRADIUS.
    pub fn start(folder: &Path) -> Option<Self> {
        let folder = folder.join("radius");
        fs::create_dir_all(&folder).unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = CONFIGURATION.replace("FOLDER", &folder.display().to_string()).replace("PORT", &port.to_string());
        fs::write(folder.join("radiusd.conf"), text).unwrap();
        let log = folder.join("log");
        let mut command = Command::new("freeradius");
        command.args(["-f", "-x", "-l", "stdout", "-n", "radiusd", "-d"]).arg(&folder);
        command.stdin(Stdio::null()).stdout(fs::File::create(&log).unwrap()).stderr(Stdio::null());
        let mut server = Server { child: command.spawn().ok()?, port };
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let said = fs::read_to_string(&log).unwrap();
            if said.contains("Ready to process requests") {
                return Some(server);
            }
            assert!(Instant::now() < end && server.child.try_wait().unwrap().is_none(), "{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
