//! `vti show`: the virtual interfaces, as they were asked for and as the system has them.

use ravelin_control::Message;
use ravelin_types::interface::{Interface, InterfaceStatus};

use crate::daemon::core::Core;
use crate::daemon::plane::Plane;
use crate::daemon::waiting::done;

impl<P: Plane> Core<P> {
    /// # Errors
    /// When there is none of this name.
    pub(in crate::daemon) fn view_interfaces(&mut self, name: Option<&str>) -> Result<Message, String> {
        let mut interfaces = Message::new();
        let status = self.plane.interfaces();
        let all = self.model.interfaces().into_values();
        for (at, interface) in all.filter(|it| name.is_none_or(|name| it.name == name)).enumerate() {
            let status = status.iter().find(|status| status.domain == interface.domain);
            let mut row = describe(&interface, status);
            row.put_list("policies", self.model.users_of(&interface.name));
            interfaces.put_section(&(at + 1).to_string(), row);
        }
        if let (Some(name), None) = (name, interfaces.sections().next()) {
            return Err(self.model.no_interface(name).to_string());
        }
        let mut answer = done();
        answer.put_section("interfaces", interfaces);
        Ok(answer)
    }
}

fn describe(interface: &Interface, status: Option<&InterfaceStatus>) -> Message {
    let mut row = Message::new().with("name", &interface.name);
    row.put_list("addresses", interface.addresses.iter().map(|(address, bits)| format!("{address}/{bits}")));
    if let Some(vti) = interface.vti {
        row.put("key", format!("{:#x}", vti.key));
        row.put("local", vti.local.map_or("any".to_owned(), |local| local.to_string()));
        row.put("remote", vti.remote);
    }
    if let Some(number) = interface.if_id {
        row.put("if-id", number);
    }
    for (key, place) in [("vrf", &interface.vrf), ("namespace", &interface.namespace)] {
        if let Some(place) = place {
            row.put(key, place);
        }
    }
    if let Some(status) = status {
        row.put("index", status.index);
        row.put("state", if status.up { "up" } else { "down" });
        row.put("mtu", status.mtu);
        for (key, value) in [
            ("received-packets", status.received.0),
            ("received-bytes", status.received.1),
            ("sent-packets", status.sent.0),
            ("sent-bytes", status.sent.1),
        ] {
            row.put(key, value);
        }
    }
    row
}
