//! `ike pool -v`: the pools of internal addresses, and who has which.

use ravelin_control::Message;

use crate::daemon::core::Core;
use crate::daemon::plane::Plane;
use crate::daemon::waiting::done;

impl<P: Plane> Core<P> {
    /// # Errors
    /// When there is none of this name.
    pub(in crate::daemon) fn view_pools(&mut self, name: Option<&str>) -> Result<Message, String> {
        let mut pools = Message::new();
        let views = self.endpoint.pools();
        for (at, spec) in self.model.pools().filter(|it| name.is_none_or(|name| it.pool.name == name)).enumerate() {
            let pool = &spec.pool;
            let mut row = Message::new()
                .with("name", &pool.name)
                .with("first", pool.addresses.start())
                .with("last", pool.addresses.end());
            row.put("prefix", pool.prefix.map_or_else(|| "none".to_owned(), |length| length.to_string()));
            let bits = pool.prefix.map(|length| format!("/{length}")).unwrap_or_default();
            if let Some(view) = views.iter().find(|view| view.name == pool.name) {
                row.put("size", view.size);
                row.put_list(
                    "leases",
                    view.leases.iter().map(|lease| {
                        let held = if lease.online { "in use" } else { "kept" };
                        format!("{}{bits} {} {held}", lease.address, lease.identity)
                    }),
                );
            }
            row.put_list("fixed", pool.fixed.iter().map(|(identity, address)| format!("{address}{bits} {identity}")));
            pools.put_section(&(at + 1).to_string(), row);
        }
        if let (Some(name), None) = (name, pools.sections().next()) {
            return Err(self.model.no_pool(name).to_string());
        }
        let mut answer = done();
        answer.put_section("pools", pools);
        Ok(answer)
    }
}
