//! Pools of internal addresses: `load-pool`, `unload-pool`, `get-pools`.

use ravelin_config::swanctl::pools;
use ravelin_config::swanctl::reader::Problems;
use ravelin_control::Message;
use ravelin_ike::address::pool::PoolView;
use ravelin_types::Instant;

use super::load::section;
use super::{Answer, names, yes};
use crate::daemon::core::Core;
use crate::daemon::plane::Plane;

impl<P: Plane> Core<P> {
    pub(super) fn load_pool(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let root = section(message);
        let mut newer = self.model.clone();
        for named in &root.sections {
            let mut problems = Problems::default();
            let read = pools::read(named, &mut problems);
            let why = problems.0.into_iter().next().map(|remark| remark.message);
            match (read, why) {
                (Some(spec), None) => newer.load_pool(spec).map_err(|error| error.to_string())?,
                (_, why) => return Err(why.unwrap_or_default()),
            }
        }
        self.take(newer, now)
    }

    pub(super) fn unload_pool(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let name = message.text("name").ok_or("missing pool name")?;
        let online = self.endpoint.pools().into_iter().filter(|pool| pool.name == name).map(|pool| online(&pool)).sum();
        let online: usize = online;
        if online > 0 {
            return Err(format!("pool '{name}' has {online} online leases, unable to unload"));
        }
        self.changed(now, |model| model.delete_pools(&ravelin_config::spec::Which::Named(name.to_owned())))
    }

    pub(super) fn get_pools(&self, message: &Message) -> Answer {
        let (only, leases) = (message.text("name"), yes(message, "leases"));
        let mut answer = Message::new();
        for pool in self.endpoint.pools().iter().filter(|pool| only.is_none_or(|name| name == pool.name)) {
            let Some(spec) = self.model.pool(&pool.name) else { continue };
            let online = online(pool);
            let mut shown = Message::new()
                .with("base", spec.base)
                .with("size", pool.size)
                .with("online", online)
                .with("offline", pool.leases.len() - online);
            if leases {
                let mut all = Message::new();
                for (index, lease) in pool.leases.iter().enumerate() {
                    let lease = Message::new()
                        .with("address", lease.address)
                        .with("identity", names::identity(&lease.identity))
                        .with("status", if lease.online { "online" } else { "offline" });
                    all.put_section(&index.to_string(), lease);
                }
                shown.put_section("leases", all);
            }
            answer.put_section(&pool.name, shown);
        }
        Answer::Now(answer)
    }
}

fn online(pool: &PoolView) -> usize {
    pool.leases.iter().filter(|lease| lease.online).count()
}
