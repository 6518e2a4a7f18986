//! Which contact centres there are, as far as is known, and which are known to be no more.
//!
//! A list can be short for many reasons, and nobody may lose a tenant to a bad answer. So a contact centre is withdrawn
//! only after it was missing in two lists in a row, neither of them empty, and each time the service said of it, asked
//! by its id, that there is no such. It is back with the first list that has it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use domain::cors;
use domain::gws::GwsSettings;
use domain::ids::{ContactCenterId, TenantId};
use domain::ports::{ContactCenters, Standing};
use domain::tenant::Tenant;
use tokio::time::Instant;

/// Lists in a row without a contact centre after which it is withdrawn.
const MISSES: u32 = 2;

/// A tenant, as far as GWS matters to it.
#[derive(Debug, Clone)]
pub(super) struct KnownTenant {
    pub(super) id: TenantId,
    pub(super) center: Option<ContactCenterId>,
    /// It names the origins of its web pages itself.
    pub(super) lists_origins: bool,
    pub(super) gws: Option<GwsSettings>,
}

/// What the door reads.
#[derive(Default, Clone)]
struct View {
    withdrawn: HashSet<ContactCenterId>,
    origins: HashMap<ContactCenterId, Vec<String>>,
}

/// What the last lists came to.
#[derive(Default)]
struct Roll {
    /// Lists in a row without it.
    misses: BTreeMap<ContactCenterId, u32>,
    listed: BTreeSet<ContactCenterId>,
    origins_read_at: BTreeMap<ContactCenterId, Instant>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Board {
    roll: Mutex<Roll>,
    view: ArcSwap<View>,
    /// None until the tree has read its settings.
    tenants: ArcSwapOption<Vec<KnownTenant>>,
}

impl Board {
    /// These are the tenants now.
    pub(super) fn know(&self, tenants: &[Tenant]) {
        let known = tenants.iter().map(|tenant| KnownTenant {
            id: tenant.id,
            center: tenant.contact_center,
            lists_origins: !tenant.cors_origins.is_empty(),
            gws: tenant.gws.clone(),
        });
        self.tenants.store(Some(Arc::new(known.collect())));
    }

    /// The tenants; none as long as nobody has told.
    pub(super) fn tenants(&self) -> Option<Arc<Vec<KnownTenant>>> {
        self.tenants.load_full()
    }

    /// A good list. Those that came back, and those of ours that are not in it and may have gone.
    pub(super) fn take(&self, listed: BTreeSet<ContactCenterId>) -> (Vec<ContactCenterId>, Vec<ContactCenterId>) {
        if listed.is_empty() {
            return (vec![], vec![]);
        }
        let tenants = self.tenants().unwrap_or_default();
        let ours: BTreeSet<_> = tenants.iter().filter_map(|tenant| tenant.center).collect();
        let mut roll = self.roll();
        let is_back = |id: &ContactCenterId, misses: u32| listed.contains(id) && misses >= MISSES;
        let back = roll.misses.iter().filter(|(id, misses)| is_back(id, **misses)).map(|(id, _)| *id).collect();
        roll.misses.retain(|id, _| ours.contains(id) && !listed.contains(id));
        let doubtful =
            |id: &&ContactCenterId| !listed.contains(id) && roll.misses.get(id).is_none_or(|it| *it < MISSES);
        let missing = ours.iter().filter(doubtful).copied().collect();
        roll.listed = listed;
        self.publish(&roll);
        (back, missing)
    }

    /// The service says that there is no such contact centre. Whether it is withdrawn by that.
    pub(super) fn gone(&self, id: ContactCenterId) -> bool {
        let mut roll = self.roll();
        let misses = roll.misses.entry(id).or_default();
        *misses += 1;
        let withdrawn = *misses == MISSES;
        self.publish(&roll);
        withdrawn
    }

    /// The service knows it, whatever its list says.
    pub(super) fn there(&self, id: ContactCenterId) {
        self.roll().misses.remove(&id);
    }

    /// Contact centres whose origins are to be read, those first that were read longest ago.
    pub(super) fn want_origins(&self, at_most: usize) -> Vec<ContactCenterId> {
        let tenants = self.tenants().unwrap_or_default();
        let roll = self.roll();
        let wanting = tenants.iter().filter(|tenant| !tenant.lists_origins).filter_map(|tenant| tenant.center);
        let mut wanting: Vec<_> = wanting.filter(|id| roll.listed.contains(id)).collect();
        wanting.sort_by_key(|id| roll.origins_read_at.get(id).copied());
        wanting.truncate(at_most);
        wanting
    }

    /// The origins of a contact centre were asked for. Without an answer they stay as they are.
    pub(super) fn put_origins(&self, id: ContactCenterId, origins: Option<Vec<String>>) {
        let mut roll = self.roll();
        roll.origins_read_at.insert(id, Instant::now());
        let listed = roll.listed.clone();
        roll.origins_read_at.retain(|id, _| listed.contains(id));
        let mut view = View::clone(&self.view.load());
        view.origins.retain(|id, _| listed.contains(id));
        match origins {
            None => {}
            Some(origins) if origins.is_empty() => drop(view.origins.remove(&id)),
            Some(origins) => drop(view.origins.insert(id, origins)),
        }
        self.view.store(Arc::new(view));
    }

    fn publish(&self, roll: &Roll) {
        let withdrawn = roll.misses.iter().filter(|(_, misses)| **misses >= MISSES).map(|(id, _)| *id).collect();
        let view = View { withdrawn, ..View::clone(&self.view.load()) };
        self.view.store(Arc::new(view));
    }

    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ContactCenters for Board {
    fn standing(&self, center: ContactCenterId) -> Standing {
        if self.view.load().withdrawn.contains(&center) { Standing::Withdrawn } else { Standing::Served }
    }

    fn any_origins(&self) -> bool {
        !self.view.load().origins.is_empty()
    }

    fn allows(&self, center: ContactCenterId, origin: &str) -> bool {
        self.view.load().origins.get(&center).is_some_and(|origins| cors::allows(origins, origin))
    }
}

#[cfg(test)]
mod tests {
    use domain::tenant::TenantDocument;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> ContactCenterId {
        ContactCenterId::from_uuid(Uuid::from_u128(number))
    }

    fn tenant(number: u128) -> Tenant {
        let name = format!("tenant-{number}");
        TenantDocument::with_queues(&name, []).resolve(TenantId::of_contact_center(id(number))).unwrap()
    }

    fn of_tenants(numbers: &[u128]) -> Board {
        let board = Board::default();
        let own = TenantDocument::with_queues("own", []).resolve(TenantId::from_name("own")).unwrap();
        let tenants: Vec<_> = numbers.iter().map(|number| tenant(*number)).chain([own]).collect();
        board.know(&tenants);
        board
    }

    fn take(board: &Board, listed: &[u128]) -> (Vec<ContactCenterId>, Vec<ContactCenterId>) {
        board.take(listed.iter().map(|number| id(*number)).collect())
    }

    #[test]
    fn two_lists_and_two_answers_withdraw_and_one_list_brings_back() {
        let board = of_tenants(&[1, 2]);
        assert_eq!(take(&board, &[1, 2, 3]), (vec![], vec![]), "what has no document is nobody's here");
        assert_eq!(take(&board, &[1]), (vec![], vec![id(2)]));
        assert!(!board.gone(id(2)));
        assert_eq!(board.standing(id(2)), Standing::Served, "one list may be short");
        assert_eq!(take(&board, &[1]), (vec![], vec![id(2)]));
        assert!(board.gone(id(2)));
        assert_eq!((board.standing(id(2)), board.standing(id(1))), (Standing::Withdrawn, Standing::Served));
        assert_eq!(take(&board, &[1]), (vec![], vec![]), "it is not asked after any more");
        assert_eq!(take(&board, &[1, 2]), (vec![id(2)], vec![]));
        assert_eq!(board.standing(id(2)), Standing::Served);
    }

    #[test]
    fn what_the_service_still_knows_is_not_withdrawn_and_an_empty_list_says_nothing() {
        let board = of_tenants(&[1, 2]);
        for _ in 0..5 {
            assert_eq!(take(&board, &[1]).1, [id(2)]);
            board.there(id(2));
        }
        board.gone(id(2));
        board.there(id(2));
        board.gone(id(2));
        assert_eq!(board.standing(id(2)), Standing::Served, "not in a row");
        for _ in 0..5 {
            assert_eq!(take(&board, &[]), (vec![], vec![]));
        }
        assert_eq!(board.standing(id(1)), Standing::Served);
    }

    #[test]
    fn tenants_without_a_contact_centre_are_not_touched() {
        let board = of_tenants(&[]);
        assert_eq!(take(&board, &[7]), (vec![], vec![]));
        let own = ContactCenterId::from_uuid(TenantId::from_name("own").as_uuid());
        assert_eq!(board.standing(own), Standing::Served);
    }

    #[tokio::test(start_paused = true)]
    async fn origins_are_read_in_turn_and_go_with_their_contact_centre() {
        let board = of_tenants(&[1, 2, 3]);
        take(&board, &[1, 2, 3]);
        assert!(!board.any_origins());
        assert_eq!(board.want_origins(2), [id(1), id(2)]);
        board.put_origins(id(1), Some(vec!["https://a.example".to_owned()]));
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        board.put_origins(id(2), Some(vec![]));
        assert_eq!(board.want_origins(2), [id(3), id(1)]);
        board.put_origins(id(1), None);
        assert_eq!(board.want_origins(3), [id(3), id(1), id(2)], "asked for is asked for");
        assert!(board.any_origins() && board.allows(id(1), "https://a.example"));
        assert!(!board.allows(id(2), "https://a.example"));
        take(&board, &[2, 3]);
        board.put_origins(id(3), Some(vec![]));
        assert!(!board.any_origins());
    }
}
