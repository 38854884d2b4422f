//! Places for questions that are under way: bounded in all, and shared out so that nobody takes the last ones from others.
//!
//! A tenant may take a place while it holds fewer than are free. The fewer are free, the fewer it may hold, and whoever holds
//! none comes first: tenants whose receivers do not answer leave each other, and everybody else, about as much as they have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::id::TenantId;

/// Questions under way at a time: each holds a payload and an answer, 80 KiB at most.
const PLACES: usize = 512;
/// Those of one tenant, so that none holds more than its receiver can be asked at a time.
const PLACES_OF_TENANT: usize = 128;

#[derive(Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    tenant_id: TenantId,
}

impl Places {
    /// Takes a place for a question of a tenant; `None` when there is none for it.
    pub(super) fn take(self: &Arc<Self>, tenant_id: TenantId) -> Option<Place> {
        let mut taken = self.taken();
        let free = PLACES - taken.all;
        let own = taken.by_tenant.get(&tenant_id).copied().unwrap_or_default();
        if own >= free.min(PLACES_OF_TENANT) {
            return None;
        }
        taken.all += 1;
        *taken.by_tenant.entry(tenant_id).or_default() += 1;
        Some(Place { places: self.clone(), tenant_id })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(own) = taken.by_tenant.get_mut(&self.tenant_id) {
            *own -= 1;
            if *own == 0 {
                taken.by_tenant.remove(&self.tenant_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u8) -> TenantId {
        TenantId::from_bytes([number; 16])
    }

    fn take_all(places: &Arc<Places>, number: u8) -> Vec<Place> {
        std::iter::from_fn(|| places.take(tenant(number))).collect()
    }

    #[test]
    fn a_tenant_has_its_share_and_no_more() {
        let places = Arc::new(Places::default());

        let taken = take_all(&places, 1);

        assert_eq!(taken.len(), PLACES_OF_TENANT);
        drop(taken);
        assert_eq!(take_all(&places, 1).len(), PLACES_OF_TENANT);
    }

    #[test]
    fn tenants_whose_receivers_are_dead_leave_places_to_others() {
        let places = Arc::new(Places::default());

        let dead: Vec<Vec<Place>> = (1..=8).map(|number| take_all(&places, number)).collect();

        let held: Vec<usize> = dead.iter().map(Vec::len).collect();
        assert_eq!(held, [128, 128, 128, 64, 32, 16, 8, 4]);
        assert!(places.take(tenant(200)).is_some());
    }

    #[test]
    fn places_that_are_given_back_go_to_those_who_hold_fewer() {
        let places = Arc::new(Places::default());
        let mut dead: Vec<Vec<Place>> = (0..20).map(|number| take_all(&places, number)).collect();

        // Every question ends, after three seconds at the latest, and is followed by as many as may be.
        for _ in 0..100 {
            for (number, taken) in (0..20).zip(&mut dead) {
                taken.pop();
                taken.extend(places.take(tenant(number)));
            }
        }

        let held: Vec<usize> = dead.iter().map(Vec::len).collect();
        let free = PLACES - held.iter().sum::<usize>();
        assert!(free > 0 && held.iter().all(|held| *held <= free + 1), "{free} are free beside {held:?}");
    }

    #[test]
    fn a_place_that_is_given_back_is_forgotten() {
        let places = Arc::new(Places::default());

        drop(take_all(&places, 1));

        assert!(places.taken().by_tenant.is_empty() && places.taken().all == 0);
    }
}
