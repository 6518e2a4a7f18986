//! What is nobody's business any more, or never was.

use super::Facts;
use crate::harness::journal::What;

/// Once an erasure was answered, the number is in no row, its callbacks are shown to nobody, and nobody is rung for them.
pub(super) fn nothing_after_an_erasure(facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    for erased in &facts.erased {
        let kept = facts.rows.iter().filter(|(_, row)| row.phone == erased.phone);
        found.extend(kept.map(|(id, _)| format!("the number of {id} was erased and is stored")));
        let seen = facts.sightings.iter().filter(|it| it.seen.is_some() && it.asked_at > erased.at);
        let seen = seen.filter(|it| erased.ids.contains(&it.id));
        found.extend(seen.map(|it| format!("{} was erased and is shown", it.id)));
        let rung = facts.journal.iter().filter(|it| it.event == What::Dialled && it.at > erased.at);
        let rung = rung.filter(|it| erased.ids.contains(&it.callback));
        found.extend(rung.map(|it| format!("somebody was rung for {}, which is erased", it.callback)));
    }
    found
}

/// Whoever names a callback of another tenant hears that there is none.
pub(super) fn no_tenant_sees_another(facts: &Facts) -> Vec<String> {
    let seen = facts.strangers.iter().filter(|(_, status)| *status != 404);
    seen.map(|(id, status)| format!("a stranger who named {id} was answered {status}")).collect()
}
