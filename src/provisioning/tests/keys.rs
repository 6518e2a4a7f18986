use domain::keys::{ApiKey, Scope};
use domain::ports::SettingsStore as _;

use super::*;

const KEY: &str = "a-planted-key-of-the-website";

fn with_keys(keys: &str) -> String {
    format!("tenant: acme\nkeys: {{{keys}}}\n")
}

impl Office {
    /// Label, scopes and whether it is in use, of every key.
    async fn keys(&self) -> Vec<(String, usize, bool)> {
        let mut keys: Vec<_> = self.store.keys().await.unwrap().into_iter().collect();
        keys.sort_by_key(|key| key.label.clone());
        keys.into_iter().map(|key| (key.label, key.scopes.len(), key.revoked_at.is_none())).collect()
    }

    async fn find_key(&self, text: &str) -> Option<ApiKey> {
        let hash = hash_key(&HASHING_KEY, text);
        self.store.keys().await.unwrap().into_iter().find(|key| key.hash == hash)
    }
}

#[tokio::test]
async fn a_key_is_taken_in_kept_changed_and_revoked() {
    let mut office = Office::new();
    office.plant("web", KEY);
    office.apply(&with_keys("website: {scopes: [callbacks-write], key: {file: web}}")).await;
    assert_eq!(office.keys().await, [("website".to_owned(), 1, true)]);
    let key = office.find_key(KEY).await.unwrap();
    let exported = office.exported("acme").await;
    assert!(!exported.contains("planted"), "{exported}");
    assert_eq!(office.plan(&exported).await.unwrap().differences, []);
    office.apply(&exported).await;
    assert_eq!(office.find_key(KEY).await, Some(key.clone()), "left alone");

    office.apply(&exported.replace("website", "shop").replace("callbacks-write", "callbacks-read")).await;
    let changed = office.find_key(KEY).await.unwrap();
    assert_eq!((changed.id, changed.label.as_str(), changed.scopes), (key.id, "shop", vec![Scope::CallbacksRead]));

    office.apply("tenant: acme\n").await;
    assert_eq!(office.keys().await, [("shop".to_owned(), 1, true)], "no section, no change");
    let plan = office.plan(&with_keys("")).await.unwrap();
    let told: Vec<_> = plan.differences.iter().map(ToString::to_string).collect();
    assert!(told.contains(&format!("- keys.shop: in use, {}", key.id)), "{told:?}");
    office.provisioning.apply(vec![plan]).await.unwrap();
    assert_eq!(office.keys().await, [("shop".to_owned(), 1, false)]);
    let again = office.wrong(&with_keys("website: {key: {file: web}}")).await;
    assert_eq!(again, ["keys.website.key: was revoked, which cannot be undone"]);
}

#[tokio::test]
async fn wrong_keys_are_mistakes_that_repeat_nothing() {
    let mut office = Office::new();
    office.plant("web", KEY);
    office.plant("short", "planted");
    office.apply(&with_keys("website: {key: {file: web}}").replace("acme", "other")).await;
    let fingerprint = text_at(&office.exported("other").await, "keys.website.key.sealed");
    for (key, expected) in [
        ("{file: short}".to_owned(), "a key has 20 to 255 letters, digits and signs"),
        ("{file: nowhere}".to_owned(), "is not there"),
        ("{file: web}".to_owned(), "is taken already"),
        (format!("{{sealed: {fingerprint}}}"), "this tenant has no key of that fingerprint in use"),
    ] {
        let told = office.wrong(&with_keys(&format!("website: {{key: {key}}}"))).await;
        assert_eq!(told, [format!("keys.website.key: {expected}")], "{key}");
    }
}

#[tokio::test]
async fn keys_made_elsewhere_join_a_document_that_has_the_section() {
    let mut office = Office::new();
    office.plant("web", KEY);
    office.apply(&with_keys("website: {key: {file: web}}")).await;
    for number in [1, 2] {
        let id = domain::ids::ApiKeyId::generate();
        let key = ApiKey { id, hash: [number; 32], label: "website".to_owned(), ..office.find_key(KEY).await.unwrap() };
        office.store.add_key(key).await.unwrap();
    }
    let exported = office.exported("acme").await;
    office.apply(&exported).await;
    assert!(office.keys().await.iter().all(|(_, _, in_use)| *in_use));
    let again = office.exported("acme").await;
    assert_eq!(office.plan(&again).await.unwrap().differences, []);
}
