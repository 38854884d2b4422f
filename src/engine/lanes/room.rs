//! The room for deliveries under way, and how much of it each tenant has.
//!
//! Nobody can have all of it. A tenant may have three times what it leaves free: three quarters when it is alone, and
//! less with every other one that needs room. So there is always some left for whoever comes, however many deliveries
//! somebody else's receivers hold on to, and nothing has to be known of the tenants beforehand.

use std::collections::HashMap;

use crate::domain::id::TenantId;

/// All deliveries under way on this node, in loads: it bounds memory together with [`LOAD_BYTES`].
const LOADS_MAX: u32 = 4_096;
/// Of which narrow lanes may use this many.
const LOADS_NARROW_MAX: u32 = LOADS_MAX / 2;
/// A payload of up to this many bytes is one load; larger ones are several.
const LOAD_BYTES: usize = 16 * 1024;
/// How many times what is free a tenant may have.
const TIMES_FREE: u32 = 3;

/// How many loads a payload of this size is.
pub fn load_of(payload_bytes: usize) -> u32 {
    u32::try_from(1 + payload_bytes / LOAD_BYTES).unwrap_or(LOADS_MAX)
}

/// Loads under way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) loads: u32,
    /// How many of these belong to narrow lanes.
    pub(super) narrow: u32,
}

impl Used {
    fn add(&mut self, loads: u32, is_narrow: bool) {
        self.loads += loads;
        self.narrow += if is_narrow { loads } else { 0 };
    }

    fn subtract(&mut self, loads: u32, is_narrow: bool) {
        self.loads = self.loads.saturating_sub(loads);
        self.narrow = self.narrow.saturating_sub(if is_narrow { loads } else { 0 });
    }
}

#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) used: Used,
    pub(super) by_tenant: HashMap<TenantId, Used>,
}

impl Room {
    /// Whether there is any for lanes of this kind, whoever's they are.
    pub(super) fn is_left(&self, is_narrow: bool) -> bool {
        self.free(is_narrow) > 0
    }

    fn free(&self, is_narrow: bool) -> u32 {
        let all = LOADS_MAX.saturating_sub(self.used.loads);
        if is_narrow { all.min(LOADS_NARROW_MAX.saturating_sub(self.used.narrow)) } else { all }
    }

    /// How many loads more a lane of this tenant may take.
    pub(super) fn left_for(&self, tenant_id: TenantId, is_narrow: bool) -> u32 {
        let used = self.by_tenant.get(&tenant_id).copied().unwrap_or_default();
        let all = fair(self.free(false), used.loads);
        if is_narrow { all.min(fair(self.free(true), used.narrow)) } else { all }
    }

    pub(super) fn take(&mut self, tenant_id: TenantId, is_narrow: bool, loads: u32) {
        if loads == 0 {
            return;
        }
        self.used.add(loads, is_narrow);
        self.by_tenant.entry(tenant_id).or_default().add(loads, is_narrow);
    }

    pub(super) fn give(&mut self, tenant_id: TenantId, is_narrow: bool, loads: u32) {
        self.used.subtract(loads, is_narrow);
        if let Some(used) = self.by_tenant.get_mut(&tenant_id) {
            used.subtract(loads, is_narrow);
            if *used == Used::default() {
                self.by_tenant.remove(&tenant_id);
            }
        }
    }
}

/// How much more somebody may take who has this much, so that it has no more than so many times what is then free. The
/// last free load is for whoever has none.
fn fair(free: u32, used: u32) -> u32 {
    let more = (TIMES_FREE * free).saturating_sub(used) / (TIMES_FREE + 1);
    if used == 0 { more.max(free.min(1)) } else { more }
}
